"""Candidates for the pixels of an image: a constant, and logistic regression on colours, their means, and places."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from pipelines.dataset import Dataset
from pipelines.images import IGNORE
from zoo.candidates import linear
from zoo.core.plan import Plan
from zoo.core.task import Candidate

NEIGHBOURHOODS = (5, 17)  # pixels, of which there are means
IMAGES, PIXELS = 200, 100  # of a split, and of each image


def ladder() -> dict[str, Candidate]:
    """Return the candidates of masks, the cheapest first."""
    return {
        "constant": Candidate("most frequent class", pixels, _fit_constant, fast=True),
        "linear": Candidate("logistic regression of pixels", pixels, _fit_linear),
    }


def pixels(name: str, num_classes: int, image_shape: Sequence[int]) -> keras.Model:
    """Return one `Dense` layer on the colour, the mean colours around it, the place, and their squares, of a pixel."""
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(image)
    means = [layers.AveragePooling2D(n, 1, "same", name=f"mean_{n}")(x) for n in NEIGHBOURHOODS]
    height, width, _ = image_shape
    places = np.stack(np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"), axis=-1)
    x = layers.Concatenate(name="colours")([x, *means, ops.zeros_like(x[..., :2]) + places.astype(np.float32)])
    x = layers.Concatenate(name="features")([x, layers.Multiply(name="squares")([x, x])])
    return keras.Model(image, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


def _examples(model: keras.Model, plan: Plan, dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (N, F) float64 and the classes (N,) of random pixels."""
    body, random = keras.Model(model.input, model.get_layer("logits").input), np.random.default_rng(0)
    features, labels = [], []
    for image, mask, *_ in plan.feed(dataset, split).take(IMAGES).batches(1):
        y = np.asarray(mask).ravel()
        chosen = random.permutation(np.flatnonzero(y != IGNORE))[:PIXELS]
        features.append(np.asarray(body(image, training=False), np.float64).reshape(len(y), -1)[chosen])
        labels.append(y[chosen])
    return np.concatenate(features), np.concatenate(labels).astype(int)


def _fit_linear(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    train, validation = (_examples(model, plan, dataset, split) for split in ("train", "validation"))
    # pixels of one image belong together, so that the strength is chosen on validation
    kernel, bias = linear.logistic_regression(*train, dataset.info.num_classes, validation, grouped=True)
    model.get_layer("logits").set_weights([kernel, bias])


def _fit_constant(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    classes, layer = dataset.info.num_classes, model.get_layer("logits")
    counts = sum(
        np.bincount(np.asarray(mask).ravel(), minlength=256) for _, mask, *_ in plan.feed(dataset, "train").batches(1)
    )
    bias = np.where(np.arange(classes) == counts[:classes].argmax(), 0.0, linear.ABSENT)
    layer.set_weights([np.zeros(layer.kernel.shape), bias])
