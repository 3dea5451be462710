"""Grey to colour: squares of photographs, without and with their colours.

Sources:   those of picture_folder: data_dir (any folder of photographs), or what scikit-image and scikit-learn bring.
Features:  {"a": grey PNG bytes (128, 128, 1), "b": PNG bytes (128, 128, 3)}: 16 squares of each photograph, whose
           middle is brought to 512x512 before.
Splits:    those of picture_folder: no photograph is on two sides.
Licence:   that of the photographs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import picture_folder
from pipelines.images import decoding, paired

NAME = "grey_to_colour"
ACROSS = 4  # squares in a row of a photograph


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    base = picture_folder.load(data_dir, cache_dir, split)
    parts = {s: _squares(base[s]).map(_sides, tf.data.AUTOTUNE) for s in ("train", "validation", "test")}
    return paired.described(NAME, parts, base.info, paired.SHAPE)


def _squares(photographs: tf.data.Dataset) -> tf.data.Dataset:
    """Return uint8 (128, 128, 3), `ACROSS` squared of each photograph."""
    side, whole = paired.SHAPE[0], ACROSS * paired.SHAPE[0]

    def cut(example: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
        image = decoding.decode(example["image"], whole, whole, 3, "crop")
        rows = tf.reshape(image, [ACROSS, side, ACROSS, side, 3])
        squares = tf.reshape(tf.transpose(rows, [0, 2, 1, 3, 4]), [-1, side, side, 3])
        return tf.data.Dataset.from_tensor_slices(squares)

    count = int(photographs.cardinality()) * ACROSS**2
    return photographs.flat_map(cut).apply(tf.data.experimental.assert_cardinality(count))


def _sides(square: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"a": tf.io.encode_png(decoding.grey(square)), "b": tf.io.encode_png(square)}
