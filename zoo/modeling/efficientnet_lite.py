"""The network of EfficientNet-Lite: a backbone, and the models `efficientnet_lite0` to `4`.

Reference: Tan, Le 2019, arXiv:1905.11946; the Lite variants by Google, github.com/tensorflow/tpu (efficientnet/lite).
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

STAGES = (  # kernel, blocks, filters, expansion, stride; the depth of the first and the last stage is not scaled
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
MIDDLE = 5  # number of stages of the middle level, whose features are used for images unlike ImageNet's
STEM, HEAD = 32, 1280  # the width is not scaled
DROP_PATH = 0.2

# === Layers ===


def _norm(x: Any, name: str, relu: bool = True) -> Any:  # (B, H, W, C) -> (B, H, W, C)
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str, relu: bool = True) -> Any:
    x = layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return _norm(x, name, relu)


def _block(x: Any, kernel: int, filters: int, expansion: int, stride: int, drop: float, name: str) -> Any:
    """Inverted bottleneck: (B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    start = x
    if expansion > 1:
        x = _conv(x, x.shape[-1] * expansion, 1, 1, f"{name}_expand")
    # Keras' he_normal, but for the fan-in: kernel^2, where Keras takes kernel^2 * channels for a depthwise convolution
    he_normal = keras.initializers.TruncatedNormal(stddev=math.sqrt(2.0) / kernel / 0.8796)
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer=he_normal, name=f"{name}_depthwise_conv"
    )(x)
    x = _conv(_norm(x, f"{name}_depthwise"), filters, 1, 1, f"{name}_project", relu=False)
    if stride == 1 and start.shape[-1] == filters:
        if drop:  # stochastic depth: whole examples are dropped (Huang 2016, arXiv:1603.09382)
            x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
        x = layers.Add(name=f"{name}_add")([start, x])
    return x


def _rounded(filters: float) -> int:
    """Round to a multiple of 8 that is at most a tenth smaller."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _stages(width: float, depth: float) -> list[tuple[int, int, int, int, int]]:
    """Return (kernel, filters, expansion, stride, stage) of every block."""
    blocks = []
    for stage, (kernel, repeats, filters, expansion, stride) in enumerate(STAGES):
        if 0 < stage < len(STAGES) - 1:
            repeats = math.ceil(repeats * depth)
        wide = _rounded(filters * width)
        blocks += [(kernel, wide, expansion, stride if i == 0 else 1, stage) for i in range(repeats)]
    return blocks


def features(
    name: str, image_shape: Sequence[int], width: float = 1.0, depth: float = 1.0, level: str = "last"
) -> keras.Model:
    """Return the network without its classifier: (B, *image_shape) in [0, 255] -> embedding (B, 1280)."""
    # Of level "middle" the averages of the fifth stage (B, 112 times the width).
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescale")(image)  # as in the original training
    x = _conv(x, STEM, 3, 2, "stem")
    blocks = _stages(width, depth)
    for i, (kernel, filters, expansion, stride, stage) in enumerate(blocks):
        if level == "middle" and stage == MIDDLE:
            break
        x = _block(x, kernel, filters, expansion, stride, DROP_PATH * i / len(blocks), f"block{i}")
    if level == "last":
        x = _conv(x, HEAD, 1, 1, "head")
    return keras.Model(image, layers.GlobalAveragePooling2D(name="embedding")(x), name=name)


def classifier(
    name: str,
    num_classes: int = 1000,
    image_shape: Sequence[int] = (224, 224, 3),
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
) -> keras.Model:
    """Return the network with its classifier: (B, *image_shape) in [0, 255] -> logits (B, num_classes) float32."""
    body = features(name, image_shape, width, depth)
    x = layers.Dropout(dropout, name="dropout")(body.output)
    return keras.Model(body.input, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)
