"""A candidate for boxes: logistic regression of the class of each cell, and ridge regression of its box.

References: Dalal, Triggs 2005, doi:10.1109/CVPR.2005.177 (directions of gradients, normalised); Dollar 2014,
doi:10.1109/TPAMI.2014.2300479 (colours and gradients as channels).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from pipelines.dataset import Dataset
from zoo.candidates import linear
from zoo.core.plan import Plan
from zoo.core.task import Candidate
from zoo.detection.decoding import COARSEST, STRIDE, centres
from zoo.detection.loss import NEAR, gaussians

DIRECTIONS = 8  # of gradients, with a channel each
NEIGHBOURS = ((1, 5), (3, 3))  # cells of a mean, which is the distance of neighbours too, and neighbours in a row
IMAGES, EMPTY = 1000, 12  # of a split, and cells without an object of each
STRENGTHS = (1e-3, 1e-2)


def ladder() -> dict[str, Candidate]:
    """Return the candidate of boxes."""
    return {"linear": Candidate("logistic regression of gradients", cells, _fit, fast=True)}


def cells(name: str, num_classes: int, image_shape: Sequence[int]) -> keras.Model:
    """Return a detector whose outputs are linear in the colours and the gradients around a cell."""
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.ZeroPadding2D([(0, -side % COARSEST) for side in image_shape[:2]], name="pad")(image)
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(x)
    gradients = layers.Conv2D(DIRECTIONS, 3, padding="same", use_bias=False, activation="relu", name="gradients")
    colours, edges = (
        layers.AveragePooling2D(STRIDE, name=f"{name}_of_cells")(y)
        for name, y in (("colours", x), ("gradients", gradients(x)))
    )
    outputs: dict[str, list[keras.KerasTensor]] = {"logits": [], "edges": []}
    for n, count in NEIGHBOURS:
        colour, edge = (
            layers.AveragePooling2D(n, 1, "same", name=f"mean_of_{name}_{n}")(y)
            for name, y in (("colours", colours), ("gradients", edges))
        )
        edge = layers.LayerNormalization(epsilon=1e-4, center=False, scale=False, name=f"contrast_{n}")(edge)
        features = layers.Concatenate(name=f"features_{n}")([colour, edge])
        for output, size in (("logits", num_classes + 1), ("edges", 4)):
            layer = layers.Conv2D(size, count, padding="same", dilation_rate=n, dtype="float32", name=f"{output}_{n}")
            outputs[output].append(layer(features))
    logits = layers.Add(dtype="float32", name="logits")(outputs["logits"])
    distances = layers.Add(dtype="float32", name="edges")(outputs["edges"])
    distances = layers.ReLU(1.0, dtype="float32", name="distances")(distances)
    y, x = np.mgrid[-1:2, -1:2][..., None]
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    kernel = (x * np.cos(angles) + y * np.sin(angles)) / (6 * image_shape[-1])  # of the mean of the colours
    gradients.set_weights([np.repeat(kernel[:, :, None], image_shape[-1], axis=2)])
    return keras.Model(image, layers.Concatenate(dtype="float32", name="cells")([logits, distances]), name=name)


def _fit(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    x, y, near, distances = _examples(model, plan, dataset, "train")
    held = _examples(model, plan, dataset, "validation")[:2]
    fitted = {"logits": linear.logistic_regression(x, y, dataset.info.num_classes + 1, held, True, STRENGTHS)}
    if len(near):  # there is an object
        fitted["edges"] = linear.ridge_regression(near, distances)
    for output, (kernel, bias) in fitted.items():
        for n, _ in NEIGHBOURS:
            layer = model.get_layer(f"{output}_{n}")
            part, kernel = np.split(kernel, [layer.kernel.shape[0] ** 2 * layer.kernel.shape[2]])
            layer.set_weights([part.reshape(layer.kernel.shape), bias])
            bias = np.zeros_like(bias)


def _examples(model: keras.Model, plan: Plan, dataset: Dataset, split: str) -> list[np.ndarray]:
    """Return features (N, F) and classes (N,) of cells, and features and distances (M, 4) of those near a centre."""
    body = keras.Model(model.input, [model.get_layer(f"features_{n}").output for n, _ in NEIGHBOURS])
    random, examples = np.random.default_rng(0), []
    height, width = model.input_shape[1:3]
    for images, rows, *_ in plan.feed(dataset, split).take(IMAGES).batches(linear.BATCH):
        maps = [np.asarray(x) for x in body(images, training=False)]
        patches = [_patches(x, n, count) for x, (n, count) in zip(maps, NEIGHBOURS, strict=True)]
        of_objects = np.asarray(gaussians(rows, *maps[0].shape[1:3]))
        for i, objects in enumerate(np.asarray(rows)):
            nearness, own = of_objects[i].max(axis=0), objects[of_objects[i].argmax(axis=0)]
            empty = random.permutation(np.argwhere(nearness < 0.5))[:EMPTY]
            centre, near = np.argwhere(nearness > 0.999), np.argwhere(nearness >= NEAR)
            x, z = (
                np.concatenate(
                    [patch[i][tuple(at.T)].reshape(len(at), patch[0, 0, 0].size) for patch in patches], axis=1
                )
                for at in (np.concatenate([centre, empty]), near)
            )
            labels = np.concatenate([own[tuple(centre.T)][:, 4] + 1, np.zeros(len(empty))])
            at, edges = centres(*nearness.shape)[tuple(near.T)], own[tuple(near.T)][:, :4]
            distances = np.concatenate([at - edges[:, :2], edges[:, 2:] - at], axis=1)
            examples.append((x, labels.astype(int), z, distances / [width, height, width, height]))
    return [np.concatenate(part) for part in zip(*examples, strict=True)]


def _patches(maps: np.ndarray, n: int, count: int) -> np.ndarray:
    """Return the neighbours of each cell, `n` cells apart, (B, h, w, count, count, C) of maps (B, h, w, C)."""
    reach = count // 2 * n
    padded = np.pad(maps, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1), axis=(1, 2))
    return np.moveaxis(windows[..., ::n, ::n], 3, -1)
