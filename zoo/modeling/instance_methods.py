"""Methods that are replaced on one instance of a stock Keras class, the only such place in the zoo.

A subclass would do the same, and its name would stand in every `.keras` file and in the groups of every weights file:
whoever opens one would need this package. Keras has no hook for these steps.

What Keras 3.15 lacks to `fit` on several replicas:

Under `MultiWorkerMirroredStrategy`:

- `fit` hands the tuple of a batch to `strategy.reduce`, which takes one value, to learn the shapes of a batch
  (`_maybe_symbolic_build`): https://github.com/keras-team/keras/issues/20585, open; for dictionaries
  https://github.com/keras-team/keras/issues/20329, open.
- The logs of a step, scalars, are reduced over their axis 0 (`reduce_per_replica`), which came with
  https://github.com/keras-team/keras/pull/16922.

Under any strategy:

- A loss of outputs (B,) is a scalar before it is reduced, and `reduce_values` returns it without the division by the
  number of replicas, which other losses have since https://github.com/keras-team/keras/issues/19891: the gradient is as
  many times too large. No thread is known.
- The gradient is the mean of those of the replicas, whatever their shares of the batch: an example of a smaller share
  counts more than one of a larger.
- Synchronized batch normalisation computes the variance as E(x^2) - E(x)^2, whose rounding a ReLU behind it amplifies:
  after one step of a small convolutional network, weights were 1e-4 off those of one device, and with two passes over x
  4e-7.
"""

import contextlib
import functools
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from zoobase.errors import UsageError

Step = Callable[[Any], dict[str, Any]]


def replace_steps(model: keras.Model, train: Step, test: Step | None = None) -> None:
    """Let a compiled model, which has not been traced yet, compute its steps (batch -> logs) by other functions."""
    model.train_step = train
    if test is not None:
        model.test_step = test


def replace_loss(model: keras.Model, combine: Callable[[Any, Any, Any], Any]) -> None:
    """Let a compiled model train by (loss, inputs, outputs) -> loss; the loss of its validation stays."""
    compute = model.compute_loss

    def compute_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = compute(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        return combine(loss, x, y_pred) if training else loss

    model.compute_loss = compute_loss


# === Batch normalisation by TensorFlow's fused kernel ===


def _can_be_fused(layer: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and layer.trainable
        and not layer.synchronized
    )


@contextlib.contextmanager
def fused(model: keras.Model) -> Iterator[int]:
    """Run the model's 4-D batch normalisation layers by the fused kernel inside the block; yield their number."""
    selected = [layer for layer in model._flatten_layers() if _can_be_fused(layer)]
    for layer in selected:
        layer.call = types.MethodType(_fused_call, layer)
    try:
        yield len(selected)
    finally:
        for layer in selected:
            del layer.call
        model.train_function = model.test_function = model.predict_function = None  # traced with the fused kernel


def _fused_call(
    layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """Normalise (B, H, W, C) over all axes but the last, as the layer does."""
    # Keras' moving variance is without Bessel's correction n/(n-1), which the fused kernel applies.
    train = bool(training) and layer.trainable
    # The kernel accepts bfloat16 images, but requires scale, offset and statistics in float32.
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs,
        scale=tf.cast(layer.gamma, tf.float32),
        offset=tf.cast(layer.beta, tf.float32),
        mean=None if train else tf.cast(layer.moving_mean, tf.float32),
        variance=None if train else tf.cast(layer.moving_variance, tf.float32),
        epsilon=layer.epsilon,
        is_training=train,
    )
    if train:
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
        variance = variance * (count - 1.0) / count
        layer.moving_mean.assign(layer.moving_mean * layer.momentum + mean * (1.0 - layer.momentum))
        layer.moving_variance.assign(layer.moving_variance * layer.momentum + variance * (1.0 - layer.momentum))
    return y


# === Several replicas ===


def adapt_to_replicas(model: keras.Model, batch: Any, several_workers: bool, equal_shares: bool) -> None:
    """Let a compiled model `fit` on several replicas; `batch` is a `tf.TensorSpec`; in the strategy's scope."""
    if getattr(model.train_step, "__func__", None) is not keras.Model.train_step:
        raise UsageError(
            f"{model.name} has a training step of its own, which replicas cannot share: train it in one process, on "
            "one device"
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True  # statistics of the whole batch, as on one device
            layer._moments = functools.partial(_moments, layer, layer._moments)
    build_metrics(model, batch)
    for loss in model._compile_loss._flat_losses if model._compile_loss is not None else ():
        loss.loss.call = _with_rank(loss.loss.call)
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    if not equal_shares:
        replace_steps(model, train=_weighted_by_share(model))
    if several_workers:
        replace_steps(model, train=_with_axis(model.train_step), test=_with_axis(model.test_step))


def build_metrics(model: keras.Model, batch: Any) -> None:
    """Create the variables of the metrics of a compiled model, which `fit` does in the first step."""
    model._symbolic_build(data_batch=tf.nest.map_structure(_zeros, batch))


def _zeros(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([1 if size is None else size for size in spec.shape], spec.dtype)


def _moments(
    layer: keras.layers.BatchNormalization, method: Callable[..., Any], inputs: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance (C,) of the inputs of all replicas; by Keras' `method` if they are masked."""
    context = tf.distribute.get_replica_context()
    if mask is not None or context is None:
        return method(inputs, mask)

    def total(values: tf.Tensor) -> tf.Tensor:
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.reduce_sum(values, layer._reduction_axes, keepdims=True)
        )

    count = total(tf.ones_like(inputs))
    mean = total(inputs) / count
    variance = total(tf.square(inputs - mean)) / count
    return tf.squeeze(mean, layer._reduction_axes), tf.squeeze(variance, layer._reduction_axes)


def _with_rank(call: Callable[[Any, Any], tf.Tensor]) -> Callable[[Any, Any], tf.Tensor]:
    def losses(y_true: Any, y_pred: Any) -> tf.Tensor:
        values = call(y_true, y_pred)
        return tf.reshape(values, [1]) if values.shape.rank == 0 else values

    return losses


def _weighted_by_share(model: keras.Model) -> Step:
    """Return a training step whose gradient counts each example of the whole batch equally."""
    # `fit` calls the step once a replica, each in a thread of its own.
    step, scale, share = model.train_step, model.optimizer.scale_loss, threading.local()
    model.optimizer.scale_loss = lambda loss: scale(loss) * tf.cast(share.factor, loss.dtype)

    def train_step(data: Any) -> dict[str, Any]:
        context = tf.distribute.get_replica_context()
        size = tf.cast(tf.shape(tf.nest.flatten(data)[0])[0], tf.float32)
        share.factor = size * context.num_replicas_in_sync / context.all_reduce(tf.distribute.ReduceOp.SUM, size)
        return step(data)

    return train_step


def _with_axis(step: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[[Any], dict[str, tf.Tensor]]:
    return lambda data: {name: tf.reshape(value, [1]) for name, value in step(data).items()}
