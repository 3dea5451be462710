"""Sneakers and ankle boots of Fashion-MNIST: two unpaired sets of images.

Sources:   those of fashion_mnist.
Features:  {"a": PNG bytes of a sneaker (28, 28, 1), "b": PNG bytes of a boot}; unpaired, and the smaller set repeats.
Splits:    those of fashion_mnist.
Licence:   MIT.
"""

import os

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import fashion_mnist
from pipelines.images import paired

NAME = "sneakers_to_boots"
CLASSES = ("Sneaker", "Ankle boot")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    base = fashion_mnist.load_garments(data_dir, cache_dir, split)
    labels = [base.info.class_names.index(kind) for kind in CLASSES]
    parts = {
        s: paired.zip_unpaired(*(_images_of(base[s], label) for label in labels))
        for s in ("train", "validation", "test")
    }
    return paired.with_base_info(NAME, parts, base.info, (28, 28, 1))


def _images_of(split: tf.data.Dataset, label: int) -> tf.data.Dataset:
    selected = split.filter(lambda example: example["label"] == label)
    return tf.data.Dataset.from_tensor_slices([example["image"] for example in selected.as_numpy_iterator()])
