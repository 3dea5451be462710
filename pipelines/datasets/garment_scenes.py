"""Garment scenes: one to four garments of Fashion-MNIST, tinted, on a crop of a photograph, 64x64, with a mask.

The pixels are real, their arrangement is not: places, sizes and tints are random, also the colours and the orientation
of the photographs, because there are only eight.

Sources:   those of fashion_mnist for the garments (data_dir is its), and of picture_folder for the photographs.
Features:  {"image": PNG bytes (64, 64, 3), "mask": PNG bytes (64, 64, 1): 0 is the photograph, 1 to 10 the garments}.
Splits:    those of both: no garment and no photograph is in two splits. One scene for each ten garments.
Licence:   MIT for Fashion-MNIST; the photographs of scikit-image are CC0, those of scikit-learn CC BY 2.0.
"""

import dataclasses
import os
from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf

from pipelines.dataset import OWN, Dataset, Info
from pipelines.datasets import fashion_mnist, picture_folder
from pipelines.images import decoding

NAME = "garment_scenes"
SIDE = 64
GARMENTS = 10  # of which one scene has one to `MOST`
MOST = 4
SIZES = (18, 44)  # sides of a garment's square image in the scene
PHOTOGRAPH = 256  # side to which photographs are resized
CROPS = (64, 256)  # sides of the square crops of them
VISIBLE = 0.25  # smallest share of a garment that others must leave visible for it to have a box


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    features = {"image": f"PNG bytes ({SIDE}, {SIDE}, 3)", "mask": f"PNG bytes ({SIDE}, {SIDE}, 1), 0 to 10"}
    parts, info = scenes(NAME, GARMENTS, data_dir, cache_dir, split)

    def example(scene: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"image": tf.io.encode_png(scene["image"]), "mask": tf.io.encode_png(scene["mask"])}

    names = ("background", *info.class_names)
    return Dataset(
        **{s: part.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True) for s, part in parts.items()},
        info=dataclasses.replace(info, features=features, class_names=names),
    )


def scenes(
    name: str, count: int, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str
) -> tuple[dict[str, tf.data.Dataset], Info]:
    """Return the scenes of each split, and what is known of them.

    Returns:
        {split: {"image": uint8 (64, 64, 3), "mask": uint8 (64, 64, 1), "objects": float32 (objects, 5)}} as of
        `compose`; and the info, with the classes of the garments.
    """
    garments = fashion_mnist.load_garments(data_dir, cache_dir, split)
    photographs = picture_folder.load(None, cache_dir, "official")
    order = ("train", "validation", "test")
    parts = {s: _scenes(garments[s], photographs[s], i, count) for i, s in enumerate(order)}
    info = Info(
        name=name,
        source=f"garments of {garments.info.source}; {photographs.info.source}",
        licence=OWN if garments.info.is_own else f"MIT (garments); {photographs.info.licence} (photographs)",
        homepage=garments.info.homepage,
        features={},
        counts={s: int(part.cardinality()) for s, part in parts.items()},
        class_names=garments.info.class_names,
        statistics={"image_shape": [SIDE, SIDE, 3]},
        sha256={**garments.info.sha256, **photographs.info.sha256},
        split=split,
    )
    return parts, info


def _scenes(garments: tf.data.Dataset, photographs: tf.data.Dataset, stream: int, count: int) -> tf.data.Dataset:
    """Return the scenes of a split; scene i depends on its number, its garments and the photographs only."""
    backgrounds = np.stack(
        [decoding.decode(e["image"], PHOTOGRAPH, PHOTOGRAPH, 3, "crop").numpy() for e in photographs]
    )

    def scene(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        grey = tf.map_fn(lambda data: tf.io.decode_png(data, 1)[..., 0], batch["image"], fn_output_signature=tf.uint8)
        image, mask, objects = tf.numpy_function(
            lambda *arrays: compose(backgrounds, np.random.default_rng([stream, int(arrays[0])]), *arrays[1:]),
            [number, grey, batch["label"]],
            [tf.uint8, tf.uint8, tf.float32],
            stateful=False,
        )
        return {
            "image": tf.ensure_shape(image, [SIDE, SIDE, 3]),
            "mask": tf.ensure_shape(mask, [SIDE, SIDE, 1]),
            "objects": tf.ensure_shape(objects, [None, 5]),
        }

    batches = garments.batch(count, drop_remainder=True).enumerate()
    return batches.map(scene, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def compose(
    backgrounds: np.ndarray, random: np.random.Generator, garments: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paste some garments uint8 (N, 28, 28), light on black, of classes (N,) on a crop of one of (P, H, W, 3).

    Returns:
        uint8 (64, 64, 3); the mask uint8 (64, 64, 1): 0 for the background, else the class of the garment plus one; and
        float32 (objects, 5): the box (left, top, right, bottom) of each garment in the image, what others cover
        included, and its class. A garment of which others leave less than a quarter has no box.
    """
    photograph, side = backgrounds[random.integers(len(backgrounds))], random.integers(*CROPS, endpoint=True)
    top, left = random.integers(0, PHOTOGRAPH - side, 2, endpoint=True)
    crop = np.rot90(photograph[top : top + side, left : left + side], random.integers(4))
    crop = crop[:, :: random.choice((1, -1)), random.permutation(3)] * random.uniform(0.5, 1.0, 3)  # few photographs
    image = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    mask, owner, placed = np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), -1), []
    for i in random.permutation(len(labels))[: random.integers(1, MOST, endpoint=True)]:
        size, tint = random.integers(*SIZES, endpoint=True), random.uniform(0.35, 1.0, 3)
        y, x = random.integers(-size // 4, SIDE - 3 * size // 4, 2, endpoint=True)  # up to a quarter is outside
        grey = cv2.resize(garments[i], (size, size), interpolation=cv2.INTER_AREA if size < 28 else cv2.INTER_LINEAR)
        covered = cv2.resize(_silhouette(garments[i]), (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)
        rows, columns = slice(max(y, 0), y + size), slice(max(x, 0), x + size)
        height, width = mask[rows, columns].shape
        inside = slice(max(-y, 0), max(-y, 0) + height), slice(max(-x, 0), max(-x, 0) + width)
        covered, pixels = covered[inside], (grey[inside][..., None] * tint).astype(np.uint8)
        image[rows, columns][covered] = pixels[covered]
        mask[rows, columns][covered] = labels[i] + 1
        owner[rows, columns][covered] = len(placed)
        down, right = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
        box = [right[0] + columns.start, down[0] + rows.start, right[-1] + columns.start + 1, down[-1] + rows.start + 1]
        placed.append(([*box, labels[i]], covered.sum()))
    visible = [row for number, (row, area) in enumerate(placed) if (owner == number).sum() >= VISIBLE * area]
    return image, mask[..., None], np.array(visible, np.float32).reshape(-1, 5)


def _silhouette(garment: np.ndarray) -> np.ndarray:
    """Return 1 for the pixels of a garment (28, 28) and the holes in it, else 0: its background is exactly black."""
    outside = cv2.copyMakeBorder((garment == 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside[1:-1, 1:-1] != 2).astype(np.uint8)
