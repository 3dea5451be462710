"""Paired and unpaired images that are made of those of Fashion-MNIST: a row each.

Sources:   those of fashion_mnist.
Splits:    those of fashion_mnist.
Licence:   MIT.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import fashion_mnist
from pipelines.images import paired

SHAPE = (28, 28, 1)
THRESHOLD = 150.0  # of the Sobel gradient, which is 1020 between black and white
SIDE = 7  # of images of low resolution
CLASSES = ("Sneaker", "Ankle boot")


@dataclass(frozen=True)
class GarmentPairs:
    """Images `b` and what is made of them, `a`; or two sets of images."""

    doc: str
    name: str
    make: Callable[[tf.data.Dataset, tuple[str, ...]], tf.data.Dataset]  # (split, class names) -> {"a", "b"}

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`; data_dir is that of fashion_mnist."""
        base = fashion_mnist.load_garments(data_dir, cache_dir, split)
        parts = {s: self.make(base[s], base.info.class_names) for s in ("train", "validation", "test")}
        return paired.with_base_info(self.name, parts, base.info, SHAPE)


def _of_each(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., tf.data.Dataset]:
    """Return a `make` of a function of uint8 (28, 28, 1)."""

    def pair(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image = tf.ensure_shape(tf.io.decode_png(example["image"], 1), SHAPE)
        return {"a": tf.io.encode_png(function(image)), "b": example["image"]}

    return lambda images, names: images.map(pair, num_parallel_calls=tf.data.AUTOTUNE)


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


def _averaged(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(tf.cast(image, tf.float32), [SIDE, SIDE], method="area")), tf.uint8)


def _of_classes(images: tf.data.Dataset, names: tuple[str, ...]) -> tf.data.Dataset:
    def images_of(name: str) -> tf.data.Dataset:
        selected = images.filter(lambda example: example["label"] == names.index(name))
        return tf.data.Dataset.from_tensor_slices([example["image"] for example in selected.as_numpy_iterator()])

    return paired.zip_unpaired(*map(images_of, CLASSES))


DATASETS = {
    "edges_to_garments": GarmentPairs(
        doc="""Edges to garments: the outlines of Fashion-MNIST images, and the images.

Similar:   edges2shoes of Isola 2017.
Features:  {"a": PNG bytes of black lines on white (28, 28, 1), "b": PNG bytes (28, 28, 1)}.
""",
        name="edges_to_garments",
        make=_of_each(edges),
    ),
    "low_to_high": GarmentPairs(
        doc="""Low to high resolution: Fashion-MNIST images averaged to 7x7, and the originals.

Features:  {"a": PNG bytes (7, 7, 1), "b": PNG bytes (28, 28, 1)}; the task resizes both to one size.
""",
        name="low_to_high",
        make=_of_each(_averaged),
    ),
    "sneakers_to_boots": GarmentPairs(
        doc="""Sneakers and ankle boots of Fashion-MNIST: two unpaired sets of images.

Features:  {"a": PNG bytes of a sneaker (28, 28, 1), "b": PNG bytes of a boot}; unpaired, and the smaller set repeats.
""",
        name="sneakers_to_boots",
        make=_of_classes,
    ),
}
