"""Detection of objects by a small network without anchors.

References: Zhou, Wang, Kraehenbuehl 2019, "Objects as Points" (CenterNet), arXiv:1904.07850; boxes by distances from
the cell as in Tian 2019 (FCOS), arXiv:1904.01355, learnt at all cells near a centre as in Liu 2019 (TTFNet),
arXiv:1909.00700. Unlike in CenterNet, the classes of a cell exclude each other, with background as one of them.
Train:     python -m zoo.train detector
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.detection.decoding import COARSEST, STRIDE
from zoo.tasks.image.detection import Detection
from zoobase.errors import UsageError

MOMENTUM = 0.9  # of batch normalisation: Keras' 0.99 needs about 500 steps to forget its initial values

# === Layers ===


def _conv(x: Any, filters: int, name: str, strides: int = 1, size: int = 3) -> Any:
    """Convolution, normalisation, ReLU: (B, H, W, C) -> (B, H / strides, W / strides, filters)."""
    x = layers.Conv2D(
        filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _up(x: Any, skip: Any, filters: int, name: str) -> Any:  # (B, H, W, C), (B, 2H, 2W, D) -> (B, 2H, 2W, filters)
    x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"{name}_larger")(x)
    return _conv(layers.Concatenate(name=f"{name}_skip")([skip, x]), filters, name)


# === Functional Model ===

_RECIPE = Recipe(
    epochs=16,
    batch_size=32,
    learning_rate=2e-3,
    weight_decay=1e-2,
    warmup=0.1,
    augment="flip,width_shift=0.1,height_shift=0.1,zoom=0.2,fill=constant,brightness=0.15,contrast=0.3",
    model={"encoder": "efficientnet_lite0"},
)
_RANDOM = dataclasses.replace(_RECIPE, learning_rate=3e-3)  # from random weights


@register(
    data="garment_boxes",
    task=Detection(),
    recipes={
        "default": _RECIPE,
        "quick": dataclasses.replace(_RANDOM, epochs=3, model={"width": 16}),
        "full": dataclasses.replace(_RANDOM, epochs=60, model={"width": 48}),
    },
    tiny={"width": 4, "encoder": "", "task.height": 24, "task.width": 28, "recipe.limit": 60},
    card=Card(
        paper="Zhou, Wang, Kraehenbuehl 2019, arXiv:1904.07850",
        expect={"mean_average_precision": 0.4441, "average_precision_50": 0.6444, "average_precision_75": 0.5208},
        command="python -m zoo.train detector --precision float32",
        measured_on="half a core of an AMD EPYC with AVX-512: 16 epochs, 49 minutes",
        baselines={"logistic regression of gradients": 0.0536},
        data_notes="The default data is garments pasted on photographs: it shows that a model learns to detect, and is "
        "no benchmark. Train on boxes of your own. The encoder of the default weights started from Google's "
        "EfficientNet-Lite0 for ImageNet (Apache-2.0).",
    ),
)
def detector(
    num_classes: int = 10, width: int = 24, encoder: str = "", image_shape: Sequence[int] = (64, 64, 3)
) -> keras.Model:
    """Detection of objects: classes and boxes at the cells of a grid, every four pixels.

    Shapes: image (B, H, W, C) uint8 or float in [0, 255] -> (B, h, w, num_classes + 5) float32, with h and w a fourth
    of H and W, rounded up to a multiple of four: logits of background and of the classes, and the distances of the
    edges of the box, in [0, 1]. What is served are both (`logits`, `distances`), and boxes in pixels (`detect`).

    Args:
        num_classes: Number of classes, without the background; determined by the data.
        width: Filters at half the size of the image, up to four times as many at the smallest.
        encoder: A backbone of `zoo.modeling.backbones`, such as efficientnet_lite0, whose features of a fourth and an
            eighth of the size are those of the encoder, of so many filters by 1x1 convolutions (FPN, Lin 2017,
            arXiv:1612.03144); its trained weights are loaded before the training. Empty is an encoder of its own.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: `width` is not positive, an image side is below 16, or the encoder is unknown or has fewer sizes.
    """
    if width < 1:
        raise UsageError(f"model.width={width} is not valid: it must be positive")
    if min(image_shape[:2]) < COARSEST:
        raise UsageError(
            f"images of {image_shape[0]}x{image_shape[1]} are too small to detect objects in: at least {COARSEST}"
        )
    padding = [(0, -side % COARSEST) for side in image_shape[:2]]  # behind, so that cells keep their places
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.ZeroPadding2D(padding, dtype="float32", name="pad")(image)
    filters = (2 * width, 4 * width)
    skips = []
    if encoder:
        from zoo.modeling import backbones

        _, *features = backbones.pyramid(encoder, x.shape[1:], 3)(x)
        skips = [_conv(x, filters[i], f"lateral{i}", size=1) for i, x in enumerate(features)]
        x = skips[-1]
    else:
        x = layers.Rescaling(1 / 127.5, -1, name="rescale")(x)
        x = _conv(_conv(x, width, "stem1", strides=2), width, "stem2")
        for i in range(2):
            x = _conv(_conv(x, filters[i], f"down{i}a", strides=2), filters[i], f"down{i}b")
            skips.append(x)
    x = _conv(_conv(x, 4 * width, "bottom_a", strides=2), 4 * width, "bottom_b")
    for i in (1, 0):
        x = _up(x, skips[i], filters[i], f"up{i}")
    classes, edges = _conv(x, 2 * width, "classes"), _conv(x, 2 * width, "edges")
    logits = layers.Conv2D(num_classes + 1, 1, dtype="float32", name="logits")(classes)
    distances = layers.Conv2D(4, 1, activation="sigmoid", dtype="float32", name="distances")(edges)
    assert logits.shape[1] * STRIDE >= image_shape[0]
    return keras.Model(image, layers.Concatenate(dtype="float32", name="cells")([logits, distances]), name="detector")
