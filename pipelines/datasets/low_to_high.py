"""Low to high resolution: Fashion-MNIST images averaged to 7x7, and the originals.

Sources:   those of fashion_mnist.
Features:  {"a": PNG bytes (7, 7, 1), "b": PNG bytes (28, 28, 1)}; the task resizes both to one size.
Splits:    those of fashion_mnist.
Licence:   MIT.
"""

import os
from collections.abc import Mapping

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import fashion_mnist
from pipelines.images import paired

NAME = "low_to_high"
SIDE = 7


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    return paired.derived(NAME, fashion_mnist.load_garments(data_dir, cache_dir, split), _domains, (28, 28, 1))


def _domains(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    image = tf.cast(tf.io.decode_png(example["image"], 1), tf.float32)
    small = tf.cast(tf.round(tf.image.resize(image, [SIDE, SIDE], method="area")), tf.uint8)
    return {"a": tf.io.encode_png(small), "b": example["image"]}
