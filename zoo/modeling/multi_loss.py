"""Base class of models with a custom training step: several named losses, of which the first is minimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class MultiLossModel(keras.Model):
    """A subclass implements `batch_losses`, and calls this constructor before it creates layers."""

    loss_names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs: Any) -> None:
        """Create a mean metric for each of `loss_names`."""
        super().__init__(**kwargs)
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in self.loss_names]

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> Sequence[Any]:
        """Return a value for each of `loss_names`, scalars or (B,); training minimises the mean of the first."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean metrics, which are reset every epoch."""
        return self.loss_trackers

    def train_step(self, data: Any) -> dict[str, Any]:
        """Minimise the first of `batch_losses` plus the penalties of the layers."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            losses = self.batch_losses(inputs, target, training=True)
            objective = tf.reduce_mean(losses[0]) + sum(self.losses)
        gradients = tape.gradient(objective, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._update_metrics(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the losses without an update."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._update_metrics(self.batch_losses(inputs, target, training=False))

    def _update_metrics(self, losses: Sequence[Any]) -> dict[str, Any]:
        for metric, value in zip(self.loss_trackers, losses, strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self.loss_trackers}
