"""Models with random weights, for works about export."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers


def build(name: str) -> keras.Model:
    """Return small (20,490 parameters), mobilenet_v2 or resnet50."""
    keras.utils.set_random_seed(0)
    if name == "mobilenet_v2":
        return keras.applications.MobileNetV2(weights=None)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3))
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, layers.Dense(10, name="logits")(layers.Flatten()(x)))


def sized(parameters: int) -> Any:
    """Return three dense layers, 64-W-W-10, of about so many parameters."""
    keras.utils.set_random_seed(0)
    width = round((math.sqrt(74**2 + 4 * parameters) - 74) / 2)  # W² + 74 W = parameters
    row = keras.Input((64,), name="row")
    x = row
    for i in range(2):
        x = layers.Dense(width, activation="relu", name=f"dense_{i}")(x)
    return keras.Model(row, layers.Dense(10, name="logits")(x))
