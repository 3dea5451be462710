"""What Keras 3.15 lacks to `fit` on several replicas, fixed on one instance of a model.

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
- Synchronized batch normalisation computes the variance as E(x^2) - E(x)^2, whose rounding a ReLU behind it amplifies:
  after one step of a small convolutional network, weights were 1e-4 off those of one device, and with two passes over x
  4e-7.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from zoobase.errors import UsageError


def adapt(model: keras.Model, batch: Any, several_workers: bool) -> None:
    """Set the attributes of a compiled model that let it `fit` on several replicas; called in the strategy's scope.

    Args:
        model: The model.
        batch: The `tf.TensorSpec` of a batch.
        several_workers: Whether the replicas are in several processes.

    Raises:
        UsageError: The model has a training step of its own, whose losses and gradients it would have to scale itself.
    """
    if getattr(model.train_step, "__func__", None) is not keras.Model.train_step:
        raise UsageError(
            f"{model.name} has a training step of its own, which replicas cannot share: train it in one process, on "
            "one device"
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True  # statistics of the whole batch, as on one device
            layer._moments = functools.partial(_moments, layer, layer._moments)
    model._symbolic_build(data_batch=tf.nest.map_structure(_zeros, batch))
    for loss in model._compile_loss._flat_losses if model._compile_loss is not None else ():
        loss.loss.call = _with_rank(loss.loss.call)
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    if several_workers:
        model.train_step, model.test_step = _with_axis(model.train_step), _with_axis(model.test_step)


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


def _with_axis(step: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[[Any], dict[str, tf.Tensor]]:
    return lambda data: {name: tf.reshape(value, [1]) for name, value in step(data).items()}
