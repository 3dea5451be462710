"""Models with random weights, for benchmarks of export and training."""

import math
from typing import Any

import keras
from keras import layers


def build(name: str) -> keras.Model:
    """Return the model small (20,490 parameters), mobilenet_v2, resnet50, resnet20 or fashion_mnist."""
    keras.utils.set_random_seed(0)
    if name == "fashion_mnist":
        import zoo  # not needed by the alternatives, whose environment need not have what it imports

        return zoo.build(name)
    if name == "resnet20":
        return resnet20()
    if name == "mobilenet_v2":
        return keras.applications.MobileNetV2(weights=None)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3))
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, layers.Dense(10, name="logits")(layers.Flatten()(x)))


def resnet20() -> keras.Model:
    """Return the 20 layers of He 2016 (arXiv:1512.03385, section 4.2) for images (28, 28, 1) in [0, 255]."""

    def conv(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x))

    image = keras.Input((28, 28, 1), name="image")
    x = layers.ReLU()(conv(layers.Rescaling(1 / 255)(image), 16))
    for filters in (16, 32, 64):
        for _ in range(3):
            strides = filters // x.shape[-1]  # 2 where the filters double
            y = conv(layers.ReLU()(conv(x, filters, strides=strides)), filters)
            x = layers.ReLU()(layers.Add()([y, conv(x, filters, 1, strides) if strides > 1 else x]))
    return keras.Model(image, layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D()(x)), name="resnet20")


def training_gigaflops(model: keras.Model) -> float:
    """Return the GFLOP of training per image: two per weight and position, and twice as many in the backward pass."""
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    return 6e-9 * sum(math.prod(k.kernel.shape) * math.prod(k.output.shape[1:-1]) for k in kernels)


def sized(parameters: int) -> Any:
    """Return three dense layers, 64-W-W-10, with approximately this number of parameters."""
    keras.utils.set_random_seed(0)
    width = round((math.sqrt(74**2 + 4 * parameters) - 74) / 2)  # W² + 74 W = parameters
    row = keras.Input((64,), name="row")
    x = row
    for i in range(2):
        x = layers.Dense(width, activation="relu", name=f"dense_{i}")(x)
    return keras.Model(row, layers.Dense(10, name="logits")(x))
