"""The text in an image of a line: a convolutional network, two blocks of attention, and CTC.

Reference: PaddlePaddle Authors, github.com/PaddlePaddle/PaddleOCR (PP-OCRv6); Du 2022, arXiv:2205.00159 (SVTR); Graves
           2006, doi:10.1145/1143844.1143891 (connectionist temporal classification).
Use:       python -m zoo.predict text_recognition line.png
           zoo.load("text_recognition").predict("line.png")
Train:     python -m zoo.train text_recognition --init default
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.text_recognition import STEP, TextRecognition
from zoo.weights.text_recognition import RECOGNITION
from zoobase.errors import UsageError

BLOCKS = (  # whether the height is halved, for twice as many filters, and whether channels are gated
    *((False, True), (False, False), (False, False), (True, False)),
    *((False, True), (False, False), (False, True), (False, False), (False, True), (False, False), (True, False)),
    *((False, True), (False, False)),
)
HEIGHT, HEADS = 48, 8  # pixels of a line; of attention

# === Layers ===


def _conv(
    x: Any, filters: int, numbers: Iterator[int], size: int = 1, stride: int = 1, activation: str = "linear"
) -> Any:
    name, padding = f"conv{next(numbers)}", "same"
    if stride > 1:  # a row and a column before and after, also where the size is even
        x, padding = layers.ZeroPadding2D(1, name=f"{name}_pad")(x), "valid"
    conv = layers.Conv2D(
        filters, size, stride, padding, activation=activation, kernel_initializer="he_normal", name=name
    )
    return conv(x)


def _block(x: Any, numbers: Iterator[int], halved: bool, gated: bool, name: str) -> Any:
    """(B, H, W, C) -> the same shape, or (B, H / 2, W, 2 C)."""
    channels, initializer = x.shape[-1], keras.initializers.RandomNormal(stddev=1 / 3)
    conv = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=initializer, name=f"conv{next(numbers)}")
    x = conv(x)
    if halved:  # a depthwise kernel has equal strides in TensorFlow: every second row is left out
        x = layers.MaxPooling2D(1, (2, 1), name=f"{name}_rows")(x)
    if gated:
        gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
        gate = _conv(
            _conv(gate, channels // 4, numbers, activation="relu"), channels, numbers, activation="hard_sigmoid"
        )
        x = layers.Multiply(name=f"{name}_gate")([x, gate])
    y = _conv(x, 2 * channels, numbers, activation="gelu")
    y = _conv(y, 2 * channels if halved else channels, numbers)
    return y if halved else layers.Add(name=f"{name}_add")([x, y])


def _neck(x: Any, conv: layers.Layer, name: str) -> Any:
    x = conv(x)
    return layers.Activation("silu", name=name)(layers.BatchNormalization(epsilon=1e-5, name=f"{name}_norm")(x))


def _attention(x: Any, dropout: float, name: str) -> Any:
    """(B, T, D) -> the same shape."""
    width = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x)
    attention = layers.MultiHeadAttention(HEADS, width // HEADS, dropout=dropout, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_add")([x, attention(y, y)])
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_hidden_norm")(x)
    y = layers.Dense(2 * width, activation="silu", name=f"{name}_hidden")(y)
    return layers.Add(name=f"{name}_hidden_add")([x, layers.Dense(width, name=f"{name}_output")(y)])


# === Functional Model ===


@register(
    data="rendered_lines",
    task=TextRecognition(height=48, width=640, channels=3),
    recipes={
        "default": Recipe(epochs=4, batch_size=32, learning_rate=1e-4, weight_decay=1e-2, warmup=0.1, clip_norm=1.0)
    },
    tiny={"filters": 8, "width": 16, "task.width": 480, "task.vocabulary": "texts", "recipe.limit": 60},
    card=Card(
        paper="PaddlePaddle Authors 2026, PP-OCRv6",
        notes="One line of text in any of 50 languages: of a page, each line is to be cut out first. An image is "
        "scaled to 48 pixels, and a line of more than 13 times its height to a width of 640.",
        data_notes="The default data is clean, rendered lines: it shows that an artifact answers alike, and is no "
        "benchmark.",
    ),
    weights={"default": RECOGNITION.weights()},
)
def text_recognition(
    num_classes: int = 18_710,
    filters: int = 48,
    width: int = 120,
    dropout: float = 0.0,
    image_shape: Sequence[int] = (48, 640, 3),
) -> keras.Model:
    """The text of a line, with the weights of PP-OCRv6: 18,709 characters of 50 languages.

    Shapes: image (B, 48, W, 3) uint8 or float in [0, 255] -> logits (B, W / 8, num_classes) float32; class 0 is the
    blank of CTC.

    Args:
        num_classes: Number of characters and the blank; determined by the data.
        filters: Filters of the first convolution.
        width: Width of the attention, a multiple of 8.
        dropout: Share of the attention that is left out in training.
        image_shape: (48, W, 3), W a multiple of 8.

    Raises:
        UsageError: The images have another size or are not RGB.
    """
    if image_shape[0] != HEIGHT or image_shape[1] % STEP or not image_shape[1] or image_shape[2] != 3:
        needed = "task.height must be 48, task.width a multiple of 8, and task.channels 3"
        raise UsageError(f"images of {'x'.join(map(str, image_shape))} do not fit text_recognition: {needed}")
    image, numbers = keras.Input(tuple(image_shape), name="image"), itertools.count()
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(image)
    x = _conv(x, filters, numbers, 3, 2, "relu")
    y = _conv(_conv(x, filters // 2, numbers, 2, activation="relu"), filters, numbers, 2, activation="relu")
    x = layers.Concatenate(name="stem")([layers.MaxPooling2D(2, 1, "same", name="stem_pool")(x), y])
    x = _conv(_conv(x, filters, numbers, 3, 2, "relu"), 2 * filters, numbers, activation="relu")
    for i, (halved, gated) in enumerate(BLOCKS):
        x = _block(x, numbers, halved, gated, f"block{i}")
    x = layers.AveragePooling2D((3, 2), name="pool")(x)
    narrow = {"use_bias": False, "padding": "same"}
    skip = _neck(x, layers.Conv2D(width, 1, name="neck0_conv", **narrow), "neck0")
    x = _neck(x, layers.Conv2D(width, 1, name="neck1_conv", **narrow), "neck1")
    y = _neck(x, layers.DepthwiseConv2D((1, 7), name="neck2_conv", **narrow), "neck2")
    x = layers.Add(name="neck_add")([x, y])
    x = layers.Reshape((-1, width), name="steps")(x)
    for i in range(2):
        x = _attention(x, dropout, f"attention{i}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.Add(name="skip")([x, layers.Reshape((-1, width), name="skip_steps")(skip)])
    return keras.Model(image, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="text_recognition")
