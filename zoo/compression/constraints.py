"""Train with zeros that stay zero and with weights that share a value: a constraint of each kernel.

Keras applies constraints after every step. Zeros and clusters are their variables, which a saved state of the training
has, too.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.compression.clustering import cluster
from zoo.compression.sparsity import choose, parse, polynomial
from zoo.core.recipe import ModelCompression
from zoobase.console import Console
from zoobase.errors import UsageError

LEAST = 1024  # values of a kernel: smaller ones are few bytes, and lose most
RISE = 0.5  # share of the steps in which the zeros increase; then the weights are clustered
UPDATES = 50  # of the zeros, in that time


class Compressed(keras.constraints.Constraint):
    """Sets weights to zero, and weights of one cluster to their mean."""

    def __init__(self, kernel: keras.Variable, clustered: bool) -> None:
        """Constrain nothing yet."""
        size = int(np.prod(kernel.shape))
        self.mask = keras.Variable(np.ones(kernel.shape, bool), dtype="bool", trainable=False, name="mask")
        labels = np.arange(size, dtype=np.int32)
        self.labels = keras.Variable(labels, dtype="int32", trainable=False, name="labels") if clustered else None

    @property
    def variables(self) -> list[keras.Variable]:
        """The state of the constraint."""
        return [self.mask] if self.labels is None else [self.mask, self.labels]

    def __call__(self, w: keras.KerasTensor) -> keras.KerasTensor:
        """Return the weights of the kernel as they must be."""
        w = ops.convert_to_tensor(w)
        if self.labels is not None:
            labels = ops.convert_to_tensor(self.labels)
            means = tf.math.unsorted_segment_mean(ops.reshape(w, (-1,)), labels, labels.shape[0])
            w = ops.reshape(ops.take(means, labels), w.shape)
        return ops.where(self.mask, w, ops.zeros_like(w))


class Compression(keras.callbacks.Callback):
    """Increases the zeros of the kernels, and clusters them, as a function of the finished optimizer steps alone."""

    def __init__(self, model: keras.Model, recipe: ModelCompression, steps: int, console: Console) -> None:
        """Constrain the kernels of a compiled model."""
        super().__init__()
        self.pattern, self.clusters, self.console = parse(recipe.sparsity), recipe.clusters, console
        self.end = max(1, round(RISE * steps))
        self.every = max(1, self.end // UPDATES)
        self.kernels = kernels_of(model)
        self.optimizer = getattr(model, "optimizer", None)
        named = "recipe.sparsity" if self.pattern else "recipe.clusters"
        if self.optimizer is None:
            raise UsageError(f"{named} is for models with one optimizer, and {model.name} has several; omit it")
        if not self.kernels:
            raise UsageError(f"{named} has no effect on {model.name}: it has no kernel with {LEAST:,} values; omit it")
        for kernel in self.kernels:
            kernel.constraint = Compressed(kernel, clustered=self.clusters > 0)

    @property
    def is_complete(self) -> bool:
        """Whether the weights have all the zeros and the clusters that they will have."""
        return int(self.optimizer.iterations) >= self.end

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Choose the zeros, and at the end the clusters, where it is their time."""
        step = int(self.optimizer.iterations)
        if step > self.end or (step % self.every and step != self.end):
            return
        for kernel in self.kernels:
            values = np.array(kernel)
            if self.pattern:
                share = polynomial(step / self.end, self.pattern.sparsity)
                kernel.constraint.mask.assign(choose(values, self.pattern, share))
            if self.clusters and step == self.end:
                kernel.constraint.labels.assign(_labels(values, np.array(kernel.constraint.mask), self.clusters))
            kernel.assign(kernel.constraint(kernel))

    def on_train_end(self, logs: dict | None = None) -> None:
        """Report what was reached."""
        masks = [np.asarray(kernel.constraint.mask) for kernel in self.kernels]
        total = sum(mask.size for mask in masks)
        if self.pattern:
            zeros = total - sum(int(mask.sum()) for mask in masks)
            self.console.print(f"{zeros / total:.1%} of {total:,} weights in {len(masks)} kernels are zero")
        if self.clusters:
            self.console.print(f"{len(masks)} kernels have at most {self.clusters} different weights each")


def kernels_of(model: keras.Model) -> list[keras.Variable]:
    """Return the kernels that are compressed: those that multiply inputs, and are not small."""
    kernels = [v for v in model.trainable_variables if v.name.endswith("kernel") and not v.name.startswith("depthwise")]
    return [kernel for kernel in kernels if len(kernel.shape) > 1 and np.prod(kernel.shape) >= LEAST]


def _labels(values: np.ndarray, mask: np.ndarray, clusters: int) -> np.ndarray:
    """Return the cluster of every weight; zeros that stay zero are one cluster of their own."""
    kept, labels = mask.reshape(-1), np.zeros(mask.size, np.int32)
    number = clusters if kept.all() else clusters - 1
    labels[kept] = cluster(values.reshape(-1)[kept], number) + (clusters - number)
    return labels
