"""Sneakers and ankle boots of Fashion-MNIST: two kinds of pictures without pairs.

Sources:   those of fashion_mnist.
Features:  {"a": PNG bytes of a sneaker (28, 28, 1), "b": PNG bytes of a boot}; who stands beside whom means nothing,
           and the smaller side repeats.
Splits:    those of fashion_mnist.
Licence:   MIT.
"""

from __future__ import annotations

import os

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import fashion_mnist
from pipelines.images import paired

NAME = "sneakers_to_boots"
KINDS = ("Sneaker", "Ankle boot")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    base = fashion_mnist.load(data_dir, cache_dir, split)
    labels = [base.info.class_names.index(kind) for kind in KINDS]
    parts = {s: paired.beside(*(_of(base[s], label) for label in labels)) for s in ("train", "validation", "test")}
    return paired.described(NAME, parts, base.info, (28, 28, 1))


def _of(split: tf.data.Dataset, label: int) -> tf.data.Dataset:
    chosen = split.filter(lambda example: example["label"] == label)
    return tf.data.Dataset.from_tensor_slices([example["image"] for example in chosen.as_numpy_iterator()])
