"""Flowers by transfer learning: a pretrained backbone under a new head.

Reference: Nilsback, Zisserman 2008 (data); Razavian 2014, "CNN features off-the-shelf", arXiv:1403.6382.
Train:     python -m zoo.train flowers
           python -m zoo.train flowers --data-dir FOLDER       # one sub-folder per class
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.transfer_learning import CASES, TransferLearning

FOUR_CASES = (
    "Four cases, by size and similarity of the dataset: "
    + "; ".join(f"{k}: {c.description}" for k, c in CASES.items())
    + "."
)

RECIPE = Recipe(epochs=40, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, augment="flowers", patience=8)


@register(
    data="oxford_flowers102",
    task=TransferLearning(),
    recipes={"default": RECIPE},
    tiny={"backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64},
    card=Card(paper="Nilsback, Zisserman 2008", describes_data=True, notes=FOUR_CASES),
)
def flowers(
    num_classes: int = 102,
    backbone: str = "efficientnet_lite0",
    level: Literal["last", "middle"] = "last",
    dropout: float = 0.5,
    image_shape: Sequence[int] = (224, 224, 3),
) -> keras.Model:
    """Photographs of your classes, by transfer from a pretrained backbone.

    Shapes: image (B, *image_shape) in [0, 255] -> logits (B, num_classes) float32.
    """
    from zoo.modeling import backbones

    return backbones.classifier("flowers", num_classes, backbone, level, dropout, image_shape)
