"""Fast style transfer: one feed-forward network per style.

Reference: Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155; instance normalisation: Ulyanov 2016, arXiv:1607.08022.
Train:     python -m zoo.train style_transfer
           python -m zoo.train style_transfer --style painting.jpg --content-dir photos/
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card, Variant
from zoo.modeling.blocks import residual_network
from zoo.modeling.losses import MultiLossModel
from zoo.tasks.generative import style_transfer as task

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class StyleTransfer(MultiLossModel):
    """A residual network that is trained on photographs by perceptual losses.

    Input: image (B, H, W, 3) in [0, 255]. Output: stylised (B, H, W, 3) float32 in [0, 255].
    """

    loss_names = ("loss", "content", "style", "variation")

    def __init__(self, filters: Sequence[int], depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = {"filters": list(filters), "depth": depth}
        self.network = residual_network(filters, depth)
        self.objective: Any = None
        self.built = True

    def call(self, image: Any, training: bool | None = None) -> Any:
        """Return the stylised images."""
        return self.network(image, training=training)

    # === Training ===

    def compile(self, optimizer: keras.optimizers.Optimizer, objective: Any, **kwargs: Any) -> None:
        """Set the optimizer and the `zoo.modeling.perceptual_loss.Objective`, which is not exported."""
        super().compile(optimizer=optimizer, **kwargs)
        self.objective = objective

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> Sequence[Any]:
        """Return the total loss of each image, and its unweighted terms: (B,)."""
        image = tf.cast(inputs, tf.float32)
        losses = self.objective.losses(self(image, training=training), self.objective.content(image))
        return [losses[name] for name in ("total", *self.loss_names[1:])]


_CARD = Card(
    paper="Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155",
    expect={"total_to_gatys": 1.914},
    command="python -m zoo.train style_transfer --precision bfloat16",
    measured_on="one core of an AMD EPYC, the other busy: 20 to 22 minutes; three test photographs",
    baselines={"300 steps of Gatys": 1.0},
    notes="One network per style; text and faces are distorted. For images of 64x64 or larger.",
)


@register(
    data="wallpapers",
    task=task.StyleTransfer(style="ocean-waves"),
    recipes={"default": Recipe(epochs=6, batch_size=1, learning_rate=4e-3, optimizer="muon", warmup=0.02)},
    tiny={"filters": (4, 8, 8), "depth": 1, "task.style": "", "task.side": 32, "task.crops": 1, "task.gatys_steps": 6},
    card=_CARD,
    flags={"style": "task.style", "content_dir": "data_dir"},
    variants={
        "style_transfer_casa_mila": Variant(
            summary="Style transfer of photographs of any size to the style of a photograph of the Casa Milà.",
            arguments={},
            task=task.StyleTransfer(style="casa-mila"),
            card=dataclasses.replace(
                _CARD,
                expect={"total_to_gatys": 2.364},
                command="python -m zoo.train style_transfer_casa_mila --precision bfloat16",
            ),
        )
    },
)
def style_transfer(filters: Sequence[int] = (24, 48, 96), depth: int = 5) -> keras.Model:
    """Style transfer of photographs of any size to one style, in one forward pass.

    Shapes: image (B, H, W, 3) in [0, 255] -> stylised (B, H, W, 3) float32 in [0, 255].

    Args:
        filters: Filters of the convolutions, from the image inwards; each after the first halves height and width.
        depth: Residual blocks at the smallest size.
    """
    model = StyleTransfer(filters, depth, name="style_transfer")
    model(keras.Input((None, None, 3), name="image"))
    return model
