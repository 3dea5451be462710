"""Candidates for images: a constant, and logistic regression on pixels."""

from collections.abc import Sequence

import keras
from keras import layers

from zoo.candidates import linear
from zoo.core.task import Candidate

SIDE = 48  # pixels: the means of squares of pixels are the features of larger images


def ladder() -> dict[str, Candidate]:
    """Return the candidates of images, the cheapest first."""
    return {
        "constant": Candidate("most frequent class", pixels, linear.fit_classes_alone, fast=True),
        "linear": Candidate("logistic regression on pixels", pixels, linear.fit_last),
    }


def pixels(name: str, num_classes: int, image_shape: Sequence[int]) -> keras.Model:
    """Return one `Dense` layer on the pixels of an image."""
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    if (size := -(-max(image_shape[:2]) // SIDE)) > 1:
        x = layers.AveragePooling2D(size, padding="same", name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)
