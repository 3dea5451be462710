"""Your own photographs by transfer learning: a pretrained backbone under a new head.

Reference: Razavian 2014, "CNN features off-the-shelf", arXiv:1403.6382.
Train:     python -m zoo.train flowers
           python -m zoo.train flowers --data-dir FOLDER            # one sub-folder per class
           python -m zoo.train landmarks --data-dir FOLDER          # with top-5 accuracy and tags
           python -m zoo.train skin_lesions --data-dir FOLDER [--set task.positive=melanoma]     # sensitivity, ROC
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling import backbones
from zoo.tasks.image.medical import MedicalClassification
from zoo.tasks.image.transfer_learning import CASES, LandmarkClassification, TransferLearning

FOUR_CASES = (
    "Four cases, by size and similarity of the dataset: "
    + "; ".join(f"{k}: {c.description}" for k, c in CASES.items())
    + "."
)
RECIPE = Recipe(epochs=40, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, augment="flowers", patience=8)
TINY = {"backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64}


@register(
    data="oxford_flowers102",
    task=TransferLearning(),
    recipes={"default": RECIPE},
    tiny=TINY,
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
    return backbones.classifier("flowers", num_classes, backbone, level, dropout, image_shape)


@register(
    data="image_folder",
    task=LandmarkClassification(),
    recipes={"default": dataclasses.replace(RECIPE, augment="landmarks")},
    tiny=TINY,
    card=Card(paper="Weyand 2020, arXiv:2004.01804 (similar data)", describes_data=True, notes=FOUR_CASES),
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
    return backbones.classifier("landmarks", num_classes, backbone, level, dropout, image_shape)


@register(
    data="image_folder",
    task=MedicalClassification(),
    recipes={"default": dataclasses.replace(RECIPE, augment="skin_lesions")},
    tiny=TINY,
    card=Card(
        paper="Codella 2018 (ISIC 2017), arXiv:1710.05006",
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
    return backbones.classifier("skin_lesions", num_classes, backbone, level, dropout, image_shape)
