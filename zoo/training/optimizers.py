"""Optimizers and learning rate schedules of recipes."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from zoo.core.recipe import Optimization, Regularization
from zoobase.errors import UsageError


@keras.saving.register_keras_serializable("zoo")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then one of six schedules over the remaining steps.

    Args:
        kind: constant, step, exponential, linear (constant for the first half, then to zero), cosine (Loshchilov,
            Hutter 2017, arXiv:1608.03983, one period) or one_cycle (Smith 2018, arXiv:1803.09820: rises for 30 % of the
            steps, then falls as a cosine to 1/10,000).
        peak: The largest learning rate.
        steps: Total number of optimizer steps.
        warmup_steps: Steps of the linear rise from zero.
        decay: Factor of the step and exponential schedules.
        decay_steps: Steps between two applications of `decay`.

    Attributes:
        elapsed: The fraction of the time budget that has passed, a float32 variable; 0 without a budget. Cosine and
            one_cycle continue at the larger of the fractions of steps and of time, so that they end with the budget.
    """

    def __init__(
        self, kind: str, peak: float, steps: int, warmup_steps: int = 0, decay: float = 0.5, decay_steps: int = 1
    ) -> None:
        self.kind, self.peak, self.steps = kind, peak, steps
        self.warmup_steps, self.decay, self.decay_steps = warmup_steps, decay, decay_steps
        self.elapsed = tf.Variable(0.0, trainable=False, name="elapsed")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of `step`, a scalar."""
        step = ops.cast(step, "float32")
        after = ops.maximum(step - self.warmup_steps, 0.0)
        fraction = ops.minimum(ops.maximum(after / max(self.steps - self.warmup_steps, 1), self.elapsed), 1.0)
        rate = self.peak * self._shape(after, fraction)
        if self.warmup_steps:
            rising = ops.minimum((step + 1.0) / self.warmup_steps, 1.0 - self.elapsed)
            rate = ops.where(step < self.warmup_steps, self.peak * rising, rate)
        return rate

    def _shape(self, after: Any, share: Any) -> Any:
        if self.kind == "cosine":
            return 0.5 * (1.0 + ops.cos(math.pi * share))
        if self.kind == "linear":
            return ops.minimum(2.0 * (1.0 - share), 1.0)
        if self.kind == "step":
            return ops.power(self.decay, ops.floor(after / self.decay_steps))
        if self.kind == "exponential":
            return ops.power(self.decay, after / self.decay_steps)
        if self.kind == "one_cycle":
            up = 0.04 + 0.96 * 0.5 * (1.0 - ops.cos(math.pi * share / 0.3))
            down = 1e-4 + (1.0 - 1e-4) * 0.5 * (1.0 + ops.cos(math.pi * (share - 0.3) / 0.7))
            return ops.where(share < 0.3, up, down)
        return ops.ones_like(share)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "kind": self.kind,
            "peak": self.peak,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
            "decay_steps": self.decay_steps,
        }


class _FusedAdam:
    """Computes Adam's update in one TensorFlow kernel instead of fourteen: same variables, same result."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update `variable` and its moments in place; Keras updates for sparse gradients and several replicas."""
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices) or tf.distribute.has_strategy():
            super().update_step(gradient, variable, learning_rate)
            return
        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=ops.power(ops.cast(self.beta_1, variable.dtype), step),
            beta2_power=ops.power(ops.cast(self.beta_2, variable.dtype), step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, variable.dtype),
        )


def _handle(variable: Any) -> Any:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


@keras.saving.register_keras_serializable("zoo")
class Adam(_FusedAdam, keras.optimizers.Adam):
    """Keras' Adam (Kingma 2014, arXiv:1412.6980) with a fused update."""


@keras.saving.register_keras_serializable("zoo")
class AdamW(_FusedAdam, keras.optimizers.AdamW):
    """Keras' AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101) with a fused update."""


@keras.saving.register_keras_serializable("zoo")
class Adagrad(keras.optimizers.Adagrad):
    """Keras' Adagrad (Duchi 2011, https://jmlr.org/papers/v12/duchi11a.html), sparse for the rows of an embedding.

    Rows that occur several times in a batch are summed first, as in a dense gradient; Keras adds the squares of the
    parts, and computes the roots of the whole table.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update the rows of `variable` that a sparse gradient has, and their accumulators, in place."""
        if not isinstance(gradient, tf.IndexedSlices) or tf.distribute.has_strategy():
            super().update_step(gradient, variable, learning_rate)
            return
        rows, position = tf.unique(gradient.indices)
        tf.raw_ops.ResourceSparseApplyAdagradV2(
            var=_handle(variable),
            accum=_handle(self._accumulators[self._get_variable_index(variable)]),
            lr=ops.cast(learning_rate, variable.dtype),
            epsilon=self.epsilon,
            grad=tf.math.unsorted_segment_sum(ops.cast(gradient.values, variable.dtype), position, tf.size(rows)),
            indices=rows,
        )


@keras.saving.register_keras_serializable("zoo")
class Muon(keras.optimizers.Muon):
    """Keras' Muon, extended to convolution kernels as matrices of shape (height * width * in, out).

    Reference: Jordan 2024, https://kellerjordan.github.io/posts/muon (convolutions); Liu 2025, arXiv:2502.16982
    (updates scaled to the size of Adam's, so that learning rates for Adam apply). Matrices with fewer than 8 rows or
    columns, biases, embeddings and logits are updated by Adam.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        excluded = len(variable.shape) < 2 or any(part in variable.path for part in ("embedding", "logits"))
        return excluded or min(_matrix_shape(variable.shape)) < 8

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Return an approximation of the nearest orthogonal matrix to `x`, in the shape of `x`."""
        # Keras multiplies `x` by a polynomial of its Gram matrix in every step. Here the polynomials are multiplied
        # first and `x` once by their product: the same result at a third of the cost for long, narrow matrices.
        rows, columns = _matrix_shape(x.shape)
        matrix = ops.reshape(x, (rows, columns))
        matrix = matrix if rows > columns else ops.transpose(matrix)
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        gram = ops.matmul(ops.transpose(matrix), matrix)
        identity, factors = ops.eye(min(rows, columns), dtype=gram.dtype), []
        for _ in range(steps):
            factor = self.muon_a * identity + self.muon_b * gram + self.muon_c * ops.matmul(gram, gram)
            gram = ops.matmul(factor, ops.matmul(gram, factor))
            factors.append(factor)
        matrix = ops.matmul(matrix, functools.reduce(ops.matmul, factors))
        return ops.reshape(matrix if rows > columns else ops.transpose(matrix), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Return the update scaled to the size of Adam's."""
        return x * (self.rms_rate * math.sqrt(max(_matrix_shape(x.shape))))


def _matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]


OWN = {"adagrad": Adagrad, "adam": Adam, "adamw": AdamW, "muon": Muon}


def make_optimizer(recipe: Optimization, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a recipe for a total of `steps` steps; biases and normalisation have no weight decay."""
    schedule = Schedule(
        recipe.schedule,
        recipe.learning_rate,
        steps,
        warmup_steps=round(recipe.warmup * steps),
        decay=recipe.decay,
        decay_steps=max(1, round(recipe.decay_epochs * steps / recipe.epochs)),
    )
    common = {
        "name": recipe.optimizer,  # a name numbered by Keras would not match the saved state of another process
        "learning_rate": schedule,
        "weight_decay": recipe.weight_decay or None,
        "global_clipnorm": recipe.clip_norm or None,
        "use_ema": recipe.ema > 0,
        "ema_momentum": recipe.ema or 0.99,
    }
    kind = OWN.get(recipe.optimizer) or type(keras.optimizers.get(recipe.optimizer))
    parameters = inspect.signature(kind).parameters
    if momentum := next((name for name in ("adam_beta_1", "beta_1", "momentum") if name in parameters), None):
        common[momentum] = recipe.momentum
    if recipe.optimizer == "sgd":
        common["nesterov"] = recipe.momentum > 0
    if recipe.optimizer == "muon":
        common["adam_weight_decay"] = recipe.weight_decay or None
    if recipe.optimizer == "adamw":
        common["weight_decay"] = recipe.weight_decay  # Keras refuses None
    optimizer = kind(**common)
    optimizer.schedule = schedule
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def make_adversarial_optimizers(recipe: Optimization, steps: int) -> dict[str, keras.optimizers.Optimizer]:
    """Return the optimizers of generators and discriminators; only generators have averaged weights."""
    return {
        "g_optimizer": make_optimizer(recipe, steps),
        "d_optimizer": make_optimizer(dataclasses.replace(recipe, ema=0.0), steps),
    }


def optimizers_of(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    """Return the optimizers of a compiled model by attribute; adversarial models have several."""
    return {k: v for k, v in sorted(vars(model).items()) if isinstance(v, keras.optimizers.Optimizer)}


def regularize(model: keras.Model, recipe: Regularization) -> None:
    """Add the recipe's L1 and L2 penalties to all kernels; they affect the loss only and are not saved in configs."""
    if not (recipe.l1 or recipe.l2):
        return
    kernels = [variable for variable in model.trainable_variables if variable.name.endswith("kernel")]
    if not kernels:
        raise UsageError(f"recipe.l1 and recipe.l2 have no effect on {model.name}: it has no kernels")
    for kernel in kernels:
        kernel.regularizer = keras.regularizers.L1L2(l1=recipe.l1, l2=recipe.l2)
