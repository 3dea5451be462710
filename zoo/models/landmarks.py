"""Landmark classification by transfer learning, with top-1 and top-5 accuracy and tags.

Reference: Weyand 2020, "Google Landmarks Dataset v2", arXiv:2004.01804 (similar data).
Train:     python -m zoo.train landmarks --data-dir FOLDER       # one sub-folder per landmark
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import keras

from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.models.flowers import FOUR_CASES, RECIPE
from zoo.tasks.image.transfer_learning import LandmarkClassification


@register(
    data="image_folder",
    task=LandmarkClassification(),
    recipes={"default": dataclasses.replace(RECIPE, augment="landmarks")},
    tiny={"backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64},
    card=Card(paper="Weyand 2020, arXiv:2004.01804", describes_data=True, notes=FOUR_CASES),
)
def landmarks(
    num_classes: int = 50,
    backbone: str = "efficientnet_lite0",
    level: Literal["last", "middle"] = "last",
    dropout: float = 0.5,
    image_shape: Sequence[int] = (224, 224, 3),
) -> keras.Model:
    """Photographs of landmarks, with tags, by transfer from a pretrained backbone.

    Shapes: image (B, *image_shape) in [0, 255] -> logits (B, num_classes) float32.
    """
    from zoo.modeling import backbones

    return backbones.classifier("landmarks", num_classes, backbone, level, dropout, image_shape)
