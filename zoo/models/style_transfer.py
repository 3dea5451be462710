"""Style transfer by one network for one style: a photograph in, a painting out, in one pass.

Reference: Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155; instance normalisation: Ulyanov 2016, arXiv:1607.08022.
Train:     python -m zoo.train style_transfer --style painting.jpg --content-dir photos/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.networks import residual_network
from zoo.recipes import Recipe
from zoo.registry import register
from zoo.specs import Card
from zoo.tasks.stylisation import Stylisation

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class StyleTransfer(keras.Model):
    """The network, and how it learns: from photographs alone, by losses in the features of another network.

    Input: image (B, H, W, 3) in [0, 255]. Output: stylised (B, H, W, 3) float32 in [0, 255].
    """

    loss_names = ("total", "content", "style", "variation")

    def __init__(self, filters: Sequence[int], depth: int, **kwargs: Any) -> None:
        """Arguments as of `style_transfer`."""
        super().__init__(**kwargs)
        self.arguments = {"filters": list(filters), "depth": depth}
        self.network = residual_network(filters, depth)
        self.shown = [keras.metrics.Mean(name="loss"), *(keras.metrics.Mean(name=n) for n in self.loss_names[1:])]
        self.objective: Any = None
        self.built = True

    def call(self, image: Any, training: bool | None = None) -> Any:
        """Return the stylised images."""
        return self.network(image, training=training)

    # === Training ===

    def compile(self, optimizer: keras.optimizers.Optimizer, objective: Any, **kwargs: Any) -> None:
        """Take an optimizer and a `zoo.perceptual.Objective`, which no artifact holds."""
        super().compile(optimizer=optimizer, **kwargs)
        self.objective = objective

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the means that are shown and reset every epoch."""
        return self.shown

    def _terms(self, image: Any, training: bool) -> Mapping[str, Any]:
        image = tf.cast(image, tf.float32)
        return self.objective.losses(self(image, training=training), self.objective.content(image))

    def _show(self, losses: Mapping[str, Any]) -> dict[str, Any]:
        for metric, name in zip(self.shown, self.loss_names, strict=True):
            metric.update_state(losses[name])
        return {metric.name: metric.result() for metric in self.shown}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the total loss."""
        image, *_ = data
        with tf.GradientTape() as tape:
            losses = self._terms(image, training=True)
            objective = tf.reduce_mean(losses["total"]) + sum(self.losses)
        gradients = tape.gradient(objective, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._show(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the same losses without a step."""
        image, *_ = data
        return self._show(self._terms(image, training=False))

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@register(
    data="picture_folder",
    task=Stylisation(),
    recipes={
        "default": Recipe(epochs=6, batch_size=4, learning_rate=2e-3, optimizer="adam", warmup=0.02, minutes=20),
    },
    tiny={"filters": (4, 8, 8), "depth": 1, "task.side": 32, "task.gatys_steps": 6, "recipe.minutes": 0},
    card=Card(
        paper="Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155",
        notes="One network knows one style; text and faces suffer. Made for images from 64x64 up.",
    ),
    flags={"style": "task.style", "content_dir": "data_dir"},
)
def style_transfer(filters: Sequence[int] = (32, 64, 128), depth: int = 5) -> keras.Model:
    """Photographs of any size into paintings of one style, in one pass.

    Shapes: image (B, H, W, 3) in [0, 255] -> stylised (B, H, W, 3) float32 in [0, 255].

    Args:
        filters: Of the convolutions, from the image inwards; each after the first halves height and width.
        depth: Residual blocks at the smallest size.
    """
    model = StyleTransfer(filters, depth, name="style_transfer")
    model(keras.Input((None, None, 3), name="image"))
    return model
