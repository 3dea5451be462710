"""EfficientNet-Lite 0 to 4: EfficientNet without squeeze and excitation, with ReLU6, for integer arithmetic.

Reference: Tan, Le 2019, arXiv:1905.11946; the Lite variants by Google, github.com/tensorflow/tpu (efficientnet/lite).
Use:       python -m zoo.predict efficientnet_lite0 PHOTO               (also Lite1 and Lite2)
           zoo.build("efficientnet_lite0", weights="imagenet")
Train:     python -m zoo.train efficientnet_lite0 --data-dir FOLDER
"""

from collections.abc import Sequence

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card, Variant
from zoo.modeling import efficientnet_lite
from zoo.tasks.image.classification import PhotoClassification
from zoo.weights import efficientnet_lite as imagenet


@register(
    data="image_folder",
    task=PhotoClassification(height=224, width=224),
    recipes={
        "default": Recipe(
            epochs=30,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.02,
            label_smoothing=0.1,
            warmup=0.1,
            augment="photographs",
        )
    },
    tiny={"width": 0.25, "depth": 0.3, "task.height": 64, "task.width": 64},
    card=Card(
        paper="Tan, Le 2019, arXiv:1905.11946",
        notes="Lite0 to 4 are Google's, github.com/tensorflow/tpu. Training from scratch needs about 100,000 images; "
        "with fewer, use `flowers`, which starts from ImageNet weights.",
    ),
    weights={"imagenet": imagenet.LITE0.weights(), "default": imagenet.with_class_names(imagenet.LITE0)},
    variants={
        "efficientnet_lite1": Variant(
            summary="EfficientNet-Lite1 for 240x240 photographs.",
            arguments={"image_shape": (240, 240, 3), "depth": 1.1},
            task=PhotoClassification(height=240, width=240),
            weights={"imagenet": imagenet.LITE1.weights(), "default": imagenet.with_class_names(imagenet.LITE1)},
        ),
        "efficientnet_lite2": Variant(
            summary="EfficientNet-Lite2 for 260x260 photographs.",
            arguments={"image_shape": (260, 260, 3), "width": 1.1, "depth": 1.2, "dropout": 0.3},
            task=PhotoClassification(height=260, width=260),
            weights={"imagenet": imagenet.LITE2.weights(), "default": imagenet.with_class_names(imagenet.LITE2)},
        ),
        "efficientnet_lite3": Variant(
            summary="EfficientNet-Lite3 for 280x280 photographs.",
            arguments={"image_shape": (280, 280, 3), "width": 1.2, "depth": 1.4, "dropout": 0.3},
            task=PhotoClassification(height=280, width=280),
        ),
        "efficientnet_lite4": Variant(
            summary="EfficientNet-Lite4 for 300x300 photographs.",
            arguments={"image_shape": (300, 300, 3), "width": 1.4, "depth": 1.8, "dropout": 0.3},
            task=PhotoClassification(height=300, width=300),
        ),
    },
)
def efficientnet_lite0(
    num_classes: int = 1000,
    image_shape: Sequence[int] = (224, 224, 3),
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
) -> keras.Model:
    """EfficientNet-Lite0 for 224x224 photographs, with ImageNet weights (75.1 % top-1 by Google).

    Shapes: image (B, *image_shape) in [0, 255] -> logits (B, num_classes).
    """
    return efficientnet_lite.classifier("efficientnet_lite0", num_classes, image_shape, width, depth, dropout)
