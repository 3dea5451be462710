"""Skin lesion classification by transfer learning, with medical metrics: sensitivity, specificity, ROC, thresholds.

Reference: Codella 2018, "Skin lesion analysis toward melanoma detection" (ISIC 2017), arXiv:1710.05006.
Train:     python -m zoo.train skin_lesions --data-dir FOLDER [--set task.positive=melanoma]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import keras

from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.models.flowers import FOUR_CASES, RECIPE
from zoo.tasks.image.medical import MedicalClassification


@register(
    data="image_folder",
    task=MedicalClassification(),
    recipes={"default": dataclasses.replace(RECIPE, augment="skin_lesions")},
    tiny={"backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64},
    card=Card(
        paper="Codella 2018, arXiv:1710.05006",
        describes_data=True,
        notes=f"Not a medical device; not tested on patients. {FOUR_CASES}",
    ),
)
def skin_lesions(
    num_classes: int = 3,
    backbone: str = "efficientnet_lite0",
    level: Literal["last", "middle"] = "last",
    dropout: float = 0.5,
    image_shape: Sequence[int] = (224, 224, 3),
) -> keras.Model:
    """Photographs of skin lesions, with a positive class, by transfer from a pretrained backbone.

    Shapes: image (B, *image_shape) in [0, 255] -> logits (B, num_classes) float32.
    """
    from zoo.modeling import backbones

    return backbones.classifier("skin_lesions", num_classes, backbone, level, dropout, image_shape)
