"""Edges to garments: the outlines of Fashion-MNIST images, and the images; similar to edges2shoes of Isola 2017.

Sources:   those of fashion_mnist.
Features:  {"a": PNG bytes of black lines on white (28, 28, 1), "b": PNG bytes (28, 28, 1)}.
Splits:    those of fashion_mnist.
Licence:   MIT.
"""

import os
from collections.abc import Mapping

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import fashion_mnist
from pipelines.images import paired

NAME = "edges_to_garments"
THRESHOLD = 150.0  # of the Sobel gradient, which is 1020 between black and white


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    return paired.derived(NAME, fashion_mnist.load_garments(data_dir, cache_dir, split), _domains, (28, 28, 1))


def _domains(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    image = tf.ensure_shape(tf.io.decode_png(example["image"], 1), [28, 28, 1])
    return {"a": tf.io.encode_png(edges(image)), "b": example["image"]}


def edges(image: tf.Tensor) -> tf.Tensor:
    """Return black lines on white where the gradient of uint8 (H, W, 1) is large, one pixel wide.

    The lines are thinned as in Canny 1986, doi:10.1109/TPAMI.1986.4767851, but in four directions only.
    """
    down, right = tf.unstack(tf.image.sobel_edges(tf.cast(image, tf.float32)[None])[0, :, :, 0], axis=-1)
    gradient = tf.sqrt(down**2 + right**2)
    maximum = tf.where(tf.abs(down) > tf.abs(right), _is_maximum(gradient, 0), _is_maximum(gradient, 1))
    return 255 - 255 * tf.cast(maximum & (gradient > THRESHOLD), tf.uint8)[..., None]


def _is_maximum(values: tf.Tensor, axis: int) -> tf.Tensor:
    return (values > tf.roll(values, 1, axis)) & (values >= tf.roll(values, -1, axis))
