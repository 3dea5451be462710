"""Semantic segmentation by a U-Net.

Reference: Ronneberger, Fischer, Brox 2015, arXiv:1505.04597. Unlike in the paper, convolutions are padded, so that the
output has the size of the image, and are followed by batch normalisation (Ioffe, Szegedy 2015, arXiv:1502.03167).
Train:     python -m zoo.train unet
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.segmentation import Segmentation
from zoobase.errors import UsageError

MOMENTUM = 0.9  # of batch normalisation: Keras' 0.99 needs about 500 steps to forget its initial values

# === Layers ===


def _block(x: Any, filters: int, name: str) -> Any:  # (B, H, W, C) -> (B, H, W, filters)
    for i in (1, 2):
        x = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{i}"
        )(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def _up(x: Any, skip: Any, filters: int, name: str) -> Any:  # (B, H, W, C), (B, 2H, 2W, D) -> (B, 2H, 2W, filters)
    x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"{name}_larger")(x)
    return _block(layers.Concatenate(name=f"{name}_skip")([skip, x]), filters, name)


def _padding(shape: Sequence[int], multiple: int) -> list[tuple[int, int]]:
    """Return the padding of height and width, before and after, to a multiple: 28 to 32 is (2, 2)."""
    return [(-side % multiple // 2, -side % multiple - -side % multiple // 2) for side in shape[:2]]


# === Functional Model ===

_RECIPE = Recipe(
    epochs=16,
    batch_size=32,
    learning_rate=2e-3,
    weight_decay=1e-2,
    warmup=0.1,
    augment="flip,width_shift=0.1,height_shift=0.1,zoom=0.15,fill=reflect,brightness=0.15,contrast=0.3",
    model={"encoder": "efficientnet_lite0"},
)
_RANDOM = dataclasses.replace(_RECIPE, learning_rate=3e-3)  # from random weights


@register(
    data="garment_scenes",
    task=Segmentation(),
    recipes={
        "default": _RECIPE,
        "quick": dataclasses.replace(_RANDOM, epochs=4, model={"width": 8, "depth": 3}),
        "full": dataclasses.replace(_RANDOM, epochs=60, model={"width": 64, "depth": 4}),
    },
    tiny={"width": 4, "depth": 2, "encoder": "", "task.height": 24, "task.width": 28, "recipe.limit": 60},
    card=Card(
        paper="Ronneberger, Fischer, Brox 2015, arXiv:1505.04597",
        expect={"mean_iou": 0.5268, "pixel_accuracy": 0.8908, "mean_dice": 0.6626},
        command="python -m zoo.train unet --precision float32",
        measured_on="half a core of an AMD EPYC with AVX-512: 16 epochs, 54 minutes",
        baselines={"foreground by a random forest, SVC of its regions": 0.2972},
        data_notes="The default data is garments pasted on photographs: it shows that a model learns to segment, and "
        "is no benchmark. Train on masks of your own. The encoder of the default weights started from Google's "
        "EfficientNet-Lite0 for ImageNet (Apache-2.0).",
    ),
)
def unet(
    num_classes: int = 11,
    width: int = 16,
    depth: int = 3,
    dropout: float = 0.0,
    encoder: str = "",
    image_shape: Sequence[int] = (64, 64, 3),
) -> keras.Model:
    """Semantic segmentation: the class of every pixel, by an encoder and a decoder with skip connections.

    Shapes: image (B, H, W, C) uint8 or float in [0, 255] -> logits (B, H, W, num_classes) float32.

    Args:
        num_classes: Number of classes; determined by the data.
        width: Filters at the size of the image, doubled with every halving; the paper has 64.
        depth: Downsampling stages; the paper has 4. Images are padded to a multiple of 2**depth inside the model.
        dropout: Dropout rate at the smallest size.
        encoder: A backbone of `zoo.modeling.backbones`, such as efficientnet_lite0, whose features at each size are
            those of the encoder; its trained weights are loaded before the training. Empty is the encoder of the paper.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: `depth` or `width` is not positive, an image side is below 2**depth, or the encoder is unknown or
            has fewer sizes.
    """
    if depth < 1 or width < 1:
        raise UsageError(f"model.depth={depth} and model.width={width} are not valid: both must be positive")
    if min(image_shape[:2]) < 2**depth:
        raise UsageError(
            f"images of {image_shape[0]}x{image_shape[1]} are too small for {depth} downsampling stages: choose a "
            "smaller model.depth"
        )
    padding = _padding(image_shape, 2**depth)
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.ZeroPadding2D(padding, dtype="float32", name="pad")(image)
    pixels = layers.Rescaling(1 / 127.5, -1, name="rescale")(x)
    if encoder:
        from zoo.modeling import backbones

        *smaller, x = backbones.pyramid(encoder, x.shape[1:], depth)(x)
        skips = [_block(pixels, width, "down0"), *smaller]
    else:
        x, skips = pixels, []
        for i in range(depth):
            skips.append(_block(x, width * 2**i, f"down{i}"))
            x = layers.MaxPooling2D(name=f"down{i}_smaller")(skips[-1])
        x = _block(x, width * 2**depth, "bottom")
    x = layers.Dropout(dropout, name="dropout")(x)
    for i in reversed(range(depth)):
        x = _up(x, skips[i], width * 2**i, f"up{i}")
    x = layers.Cropping2D(padding, name="crop")(x)
    return keras.Model(image, layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x), name="unet")
