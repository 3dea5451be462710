"""A person cut out of a photograph, by the network of video calls in a browser.

Reference: MediaPipe Selfie Segmentation, Google 2020: a MobileNetV3 (Howard 2019, arXiv:1905.02244) with a decoder.
Use:       python -m zoo.predict person_segmentation photo.jpg -o person.png      (transparent where nobody is)
           zoo.load("person_segmentation").predict("photo.jpg")
Train:     python -m zoo.train person_segmentation --init default --data-dir FOLDER    (images and masks of your own)
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.cut_out import CutOut
from zoo.weights.person_segmentation import PERSON
from zoobase.errors import UsageError

KEPT = (0, 2)  # blocks whose maps the decoder takes, too
WIDEST = 128  # filters at the smallest size
SMALLER = 16  # the smallest maps are so many times smaller than the image
HARD = "hard_silu"
BLOCKS = (  # filters, size and stride of the depthwise convolution, filters of the gate, filters behind it, activation
    (16, 3, 2, 8, 16, "relu"),
    (72, 3, 2, 0, 24, "relu"),
    (88, 3, 1, 0, 24, "relu"),
    (96, 5, 2, 24, 32, HARD),
    *((128, 5, 1, 32, 32, HARD), (128, 5, 1, 32, 32, HARD)),
    *((96, 5, 1, 24, 32, HARD), (96, 5, 1, 24, 32, HARD)),
)

# === Layers ===


def _conv(x: Any, filters: int, i: int, activation: str | None = None) -> Any:
    return layers.Conv2D(filters, 1, activation=activation, name=f"conv2d_{i}")(x)


def _depthwise(x: Any, size: int, stride: int, i: int, activation: str) -> Any:
    name = f"depthwise_conv2d_{i}"
    return layers.DepthwiseConv2D(size, stride, "same", activation=activation, name=name)(x)


def _gate(x: Any, filters: int, i: int) -> Any:  # (B, H, W, C) -> (B, 1, 1, C) in [0, 1]
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name=f"gate{i}_mean")(x)
    return _conv(_conv(pooled, filters, i, "relu"), x.shape[-1], i + 1, "sigmoid")


def _join(x: Any, skip: Any, i: int, j: int) -> Any:  # of the same size: of `skip` what the gate passes
    gate = _gate(layers.Add(name=f"join{j}")([skip, x]), skip.shape[-1], i)
    passed = layers.Multiply(name=f"join{j}_gated")([skip, gate])
    x = _conv(layers.Add(name=f"join{j}_sum")([passed, x]), skip.shape[-1], i + 2, "relu")
    return layers.Add(name=f"join{j}_out")([x, _depthwise(x, 3, 1, j, "relu")])


# === Functional Model ===


@register(
    data="garment_scenes",
    task=CutOut(height=256, width=256, channels=3),
    recipes={"default": Recipe(epochs=8, batch_size=32, learning_rate=1e-3, weight_decay=1e-2, warmup=0.1)},
    tiny={"task.height": 32, "task.width": 32, "recipe.limit": 60},
    card=Card(
        paper="Google 2020, MediaPipe Selfie Segmentation",
        published="0.960 is the mean IoU of the person that its makers state, with an interval of 0.009 (on 1,594 "
        "photographs from 17 regions of the world, from 0.947 to 0.973).",
        notes="People within about two metres of the camera. Hair and fingers are cut coarsely: the mask has 256x256 "
        "pixels, to which a photograph is stretched.",
        data_notes="The default data is garments: it shows that an artifact answers alike. Cut other things out by "
        "--init default with masks of your own.",
    ),
    weights={"default": PERSON.weights()},
)
def person_segmentation(num_classes: int = 2, image_shape: Sequence[int] = (256, 256, 3)) -> keras.Model:
    """Cuts a person out of a photograph, with the weights of MediaPipe's selfie segmentation.

    Shapes: image (B, H, W, 3) uint8 or float in [0, 255] -> logits (B, H, W, num_classes) float32.

    Args:
        num_classes: Number of classes; background and person, or determined by the data.
        image_shape: (H, W, 3), both multiples of 16; 256x256 in the original.

    Raises:
        UsageError: The images have another size or are not RGB.
    """
    if any(side % SMALLER or not side for side in image_shape[:2]) or image_shape[2] != 3:
        needed = f"task.height and task.width must be multiples of {SMALLER}, and task.channels 3"
        raise UsageError(f"images of {'x'.join(map(str, image_shape))} do not fit person_segmentation: {needed}")
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(16, 3, 2, padding="same", activation=HARD, name="conv2d_0")(x)
    skips, i = [x], 1
    for j, (filters, size, stride, squeezed, out, activation) in enumerate(BLOCKS):
        y = _depthwise(_conv(x, filters, i, activation), size, stride, j, activation)
        if squeezed:
            y = layers.Multiply(name=f"gate{i + 1}")([y, _gate(y, squeezed, i + 1)])
        i += 3 if squeezed else 1
        y = _conv(y, out, i)
        x = layers.Add(name=f"block{j}")([y, x]) if stride == 1 else y
        skips, i = [*skips, x] if j in KEPT else skips, i + 1
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="context_mean")(x)
    gate = _conv(pooled, WIDEST, i + 1, "sigmoid")
    x = layers.Multiply(name="context")([_conv(x, WIDEST, i, "relu"), gate])
    i += 2
    for j, skip in enumerate(reversed(skips), start=len(BLOCKS)):
        larger = layers.UpSampling2D(interpolation="bilinear", name=f"conv{i}_larger")(x)
        x = _join(_conv(larger, skip.shape[-1], i), skip, i + 1, j)
        i += 4
    logits = layers.Conv2DTranspose(num_classes, 2, 2, dtype="float32", name="logits")
    return keras.Model(image, logits(x), name="person_segmentation")
