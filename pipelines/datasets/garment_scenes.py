"""Garment scenes: one to four garments of Fashion-MNIST, tinted, on a crop of a photograph, 64x64, with a mask.

The pixels are real, their arrangement is not: places, sizes and tints are random, also the colours and the orientation
of the photographs, because there are only eight.

Sources:   those of fashion_mnist for the garments (data_dir is its), and of picture_folder for the photographs.
Features:  {"image": PNG bytes (64, 64, 3), "mask": PNG bytes (64, 64, 1): 0 is the photograph, 1 to 10 the garments}.
Splits:    those of both: no garment and no photograph is in two splits. One scene for each ten garments.
Licence:   MIT for Fashion-MNIST; the photographs of scikit-image are CC0, those of scikit-learn CC BY 2.0.
"""

from __future__ import annotations

import os

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


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    garments = fashion_mnist.load(data_dir, cache_dir, split)
    photographs = picture_folder.load(None, cache_dir, "official")
    parts = {s: _scenes(garments[s], photographs[s], i) for i, s in enumerate(("train", "validation", "test"))}
    info = Info(
        name=NAME,
        source=f"garments of {garments.info.source}; {photographs.info.source}",
        licence=OWN if garments.info.is_own else f"MIT (garments); {photographs.info.licence} (photographs)",
        homepage=garments.info.homepage,
        features={"image": f"PNG bytes ({SIDE}, {SIDE}, 3)", "mask": f"PNG bytes ({SIDE}, {SIDE}, 1), 0 to 10"},
        counts={s: int(part.cardinality()) for s, part in parts.items()},
        class_names=("background", *garments.info.class_names),
        statistics={"image_shape": [SIDE, SIDE, 3]},
        sha256={**garments.info.sha256, **photographs.info.sha256},
        split=split,
    )
    return Dataset(**parts, info=info)


def _scenes(garments: tf.data.Dataset, photographs: tf.data.Dataset, stream: int) -> tf.data.Dataset:
    """Return the scenes of a split; scene i depends on its number, its ten garments and the photographs only."""
    backgrounds = np.stack(
        [decoding.decode(e["image"], PHOTOGRAPH, PHOTOGRAPH, 3, "crop").numpy() for e in photographs]
    )

    def scene(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        grey = tf.map_fn(lambda data: tf.io.decode_png(data, 1)[..., 0], batch["image"], fn_output_signature=tf.uint8)
        image, mask = tf.numpy_function(
            lambda *arrays: compose(backgrounds, np.random.default_rng([stream, int(arrays[0])]), *arrays[1:]),
            [number, grey, batch["label"]],
            [tf.uint8, tf.uint8],
            stateful=False,
        )
        encoded = tf.io.encode_png(tf.ensure_shape(image, [SIDE, SIDE, 3]))
        return {"image": encoded, "mask": tf.io.encode_png(tf.ensure_shape(mask, [SIDE, SIDE, 1]))}

    batches = garments.batch(GARMENTS, drop_remainder=True).enumerate()
    return batches.map(scene, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def compose(
    backgrounds: np.ndarray, random: np.random.Generator, garments: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Paste some garments on a crop of a background.

    Args:
        backgrounds: uint8 (P, H, W, 3).
        random: The source of randomness.
        garments: uint8 (N, 28, 28), light on black.
        labels: Integer (N,): their classes.

    Returns:
        uint8 (64, 64, 3), and the mask uint8 (64, 64, 1): 0 for the background, else the class of the garment plus one.
    """
    photograph, side = backgrounds[random.integers(len(backgrounds))], random.integers(*CROPS, endpoint=True)
    top, left = random.integers(0, PHOTOGRAPH - side, 2, endpoint=True)
    crop = np.rot90(photograph[top : top + side, left : left + side], random.integers(4))
    crop = crop[:, :: random.choice((1, -1)), random.permutation(3)] * random.uniform(0.5, 1.0, 3)  # few photographs
    image = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
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
    return image, mask[..., None]


def _silhouette(garment: np.ndarray) -> np.ndarray:
    """Return 1 for the pixels of a garment (28, 28) and the holes in it, else 0: its background is exactly black."""
    outside = cv2.copyMakeBorder((garment == 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside[1:-1, 1:-1] != 2).astype(np.uint8)
