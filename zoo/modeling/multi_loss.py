"""Models with a mathematics of training of their own: several losses with names, and steps on the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class ObjectiveModel(keras.Model):
    """A subclass says in `batch_losses` what is to be made small. It calls this constructor before it makes layers."""

    loss_names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs: Any) -> None:
        """Make a mean for each of `loss_names`."""
        super().__init__(**kwargs)
        self.shown = [keras.metrics.Mean(name=name) for name in self.loss_names]

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> Sequence[Any]:
        """Return a value for each of `loss_names`, scalars or (B,); the mean of the first is what training lessens."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the means that are shown and reset every epoch."""
        return self.shown

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the first of `batch_losses`, with the penalties of the layers."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            losses = self.batch_losses(inputs, target, training=True)
            objective = tf.reduce_mean(losses[0]) + sum(self.losses)
        gradients = tape.gradient(objective, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._show(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the same losses without a step."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._show(self.batch_losses(inputs, target, training=False))

    def _show(self, losses: Sequence[Any]) -> dict[str, Any]:
        for metric, value in zip(self.shown, losses, strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self.shown}
