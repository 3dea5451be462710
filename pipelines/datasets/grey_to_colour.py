"""Grey to colour: square crops of photographs, in grey and in colour.

Sources:   those of picture_folder: data_dir (any folder of photographs), or those of scikit-image and scikit-learn.
Features:  {"a": grey PNG bytes (128, 128, 1), "b": PNG bytes (128, 128, 3)}: 16 squares of each photograph, whose
           centre is resized to 512x512 first.
Splits:    those of picture_folder: every photograph is in one split.
Licence:   that of the photographs.
"""

import os
from collections.abc import Mapping

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import picture_folder
from pipelines.images import decoding, paired

NAME = "grey_to_colour"
CROPS_PER_SIDE = 4  # square crops per row of a photograph


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    base = picture_folder.load(data_dir, cache_dir, split)
    parts = {s: _squares(base[s]).map(_domains, tf.data.AUTOTUNE) for s in ("train", "validation", "test")}
    return paired.with_base_info(NAME, parts, base.info, paired.SHAPE)


def _squares(photographs: tf.data.Dataset) -> tf.data.Dataset:
    """Return uint8 (128, 128, 3), `CROPS_PER_SIDE` squared per photograph."""
    side, size = paired.SHAPE[0], CROPS_PER_SIDE * paired.SHAPE[0]

    def crop(example: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
        image = decoding.decode(example["image"], size, size, 3, "crop")
        rows = tf.reshape(image, [CROPS_PER_SIDE, side, CROPS_PER_SIDE, side, 3])
        squares = tf.reshape(tf.transpose(rows, [0, 2, 1, 3, 4]), [-1, side, side, 3])
        return tf.data.Dataset.from_tensor_slices(squares)

    count = int(photographs.cardinality()) * CROPS_PER_SIDE**2
    return photographs.flat_map(crop).apply(tf.data.experimental.assert_cardinality(count))


def _domains(square: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"a": tf.io.encode_png(decoding.grey(square)), "b": tf.io.encode_png(square)}
