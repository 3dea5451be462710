"""A candidate for boxes: gradients and colours around each cell, logistic regression of its class, ridge of its box.

References: Dalal, Triggs 2005, doi:10.1109/CVPR.2005.177 (directions of gradients); Dollar 2014,
doi:10.1109/TPAMI.2014.2300479 (channels at several scales).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from pipelines.dataset import Dataset
from zoo.candidates import linear
from zoo.core.plan import Plan
from zoo.core.task import Candidate
from zoo.detection.decoding import STRIDE, centres
from zoo.detection.loss import NEAR, gaussians

DIRECTIONS = 8  # of gradients, each of which has a channel
SCALES = (1, 2, 4)  # cells of a mean, and from one neighbour to the next
SIDE = 5  # neighbours of a cell in each direction of which its class is a function
COARSEST = 16  # pixels, of which the sides of the padded image are multiples, as those of `detector`
IMAGES, EMPTY = 500, 12  # training images, and cells without an object of each
STRENGTHS = (1e-4, 1e-3, 1e-2)


def ladder() -> dict[str, Candidate]:
    """Return the candidate of boxes."""
    return {"linear": Candidate("logistic regression of gradients", cells, _fit)}


def cells(name: str, num_classes: int, image_shape: Sequence[int]) -> keras.Model:
    """Return a linear detector, with the inputs and outputs of `detector`."""
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.ZeroPadding2D([(0, -side % COARSEST) for side in image_shape[:2]], name="pad")(image)
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(x)
    directions = layers.Conv2D(
        DIRECTIONS, 3, padding="same", use_bias=False, activation="relu", trainable=False, name="gradients"
    )
    x = layers.Concatenate(name="channels")([x, directions(x)])
    x = layers.AveragePooling2D(STRIDE, name="cells")(x)
    maps = []
    for n in SCALES:
        mean = layers.AveragePooling2D(n, 1, "same", name=f"mean_{n}")(x) if n > 1 else x
        contrast = layers.LayerNormalization(epsilon=1e-3, center=False, scale=False, name=f"contrast_{n}")(mean)
        maps.append(layers.Concatenate(name=f"features_{n}")([mean, contrast]))
    logits, edges = (
        layers.Add(name=output)(
            [
                layers.Conv2D(
                    size, SIDE, padding="same", dilation_rate=n, use_bias=n == SCALES[0], name=f"{output}_{n}"
                )(y)
                for n, y in zip(SCALES, maps, strict=True)
            ]
        )
        for output, size in (("logits", num_classes + 1), ("edges", 4))
    )
    distances = layers.ReLU(1.0, name="distances")(edges)
    y, x = np.mgrid[-1:2, -1:2]
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    kernel = (x[..., None] * np.cos(angles) + y[..., None] * np.sin(angles)) / (6 * image_shape[-1])
    directions.set_weights([np.repeat(kernel[:, :, None], image_shape[-1], axis=2)])
    return keras.Model(image, layers.Concatenate(name="cells_outputs")([logits, distances]), name=name)


def _examples(model: keras.Model, plan: Plan, dataset: Dataset, split: str) -> list[np.ndarray]:
    """Return features and classes of cells, and features and distances of cells near the centre of an object."""
    body = keras.Model(model.input, [model.get_layer(f"features_{n}").output for n in SCALES])
    random, parts = np.random.default_rng(0), []
    height, width = model.input_shape[1:3]
    for images, rows, *_ in plan.feed(dataset, split).take(IMAGES).batches(100):
        maps, rows = [np.asarray(m) for m in body(images, training=False)], np.asarray(rows)
        h, w = maps[0].shape[1:3]
        near = np.asarray(gaussians(rows, h, w))
        places = centres(h, w)
        sizes = np.array([width, height, width, height], np.float32)
        patches = [_patches(m, n) for m, n in zip(maps, SCALES, strict=True)]
        for i, of_image in enumerate(rows):
            nearness = near[i].max(axis=0)
            label = of_image[near[i].argmax(axis=0), 4].astype(int) + 1
            is_centre, is_near = nearness > 0.999, nearness >= NEAR
            empty = random.permutation(np.argwhere(nearness < 0.5))[:EMPTY]
            chosen = np.concatenate([np.argwhere(is_centre), empty])
            boxes = np.argwhere(is_near)
            box = of_image[near[i].argmax(axis=0)[is_near], :4]
            at = places[is_near]
            distances = np.concatenate([at - box[:, :2], box[:, 2:] - at], axis=1) / sizes
            x, z = (np.concatenate([p[i][tuple(c.T)].reshape(len(c), -1) for p in patches], 1) for c in (chosen, boxes))
            parts.append((x, np.concatenate([label[is_centre], np.zeros(len(empty), int)]), z, distances))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _patches(maps: np.ndarray, n: int) -> np.ndarray:
    """Return the neighbours of each cell (B, h, w, SIDE, SIDE, C) of maps (B, h, w, C), `n` cells apart."""
    reach = SIDE // 2 * n
    padded = np.pad(maps, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1), axis=(1, 2))
    return np.moveaxis(windows[..., ::n, ::n], 3, -1)


def _fit(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    (x, y, near, distances), (held, labels, *_) = (
        _examples(model, plan, dataset, split) for split in ("train", "validation")
    )
    classes = dataset.info.num_classes + 1
    fitted = {"logits": linear.logistic_regression(x, y, classes, (held, labels), grouped=True, strengths=STRENGTHS)}
    pairs = [linear.ridge_regression(near, d) for d in distances.T]
    fitted["edges"] = (np.concatenate([kernel for kernel, _ in pairs], 1), np.concatenate([bias for _, bias in pairs]))
    for output, (kernel, bias) in fitted.items():
        for n, part in zip(SCALES, np.split(kernel, len(SCALES)), strict=True):
            layer = model.get_layer(f"{output}_{n}")
            layer.set_weights([part.reshape(layer.kernel.shape), *([bias] if layer.use_bias else [])])
