"""Augmentation on whole batches, keyed by example: (images, keys) -> images of the same shape and type.

The same key gives an example the same augmentation in any batch and on any number of threads (see `pipelines.keyed`).
Pixels are moved by gathers, never by a loop over examples. Pixel values are taken to lie in [0, 255].
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipelines import keyed
from pipelines.errors import USAGE, DataError

Op = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
FILLS = ("constant", "nearest", "reflect", "wrap")
_FLIP, _SHIFT, _CUTOUT, _NOISE = range(1, 5)  # salts: each operation has its own stream of an example's numbers


def flip_horizontal(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Mirror half of the images left to right: images (B, H, W, C), keys integer (B, K)."""
    mirrored = keyed.integers(keys, _FLIP, 1, 0, 1)[:, 0] == 1
    return tf.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def shift(
    images: tf.Tensor, keys: tf.Tensor, *, fraction: float = 0.1, fill: str = "constant", value: float = 0
) -> tf.Tensor:
    """Move each image by whole pixels, at most a fraction of its height and width.

    Args:
        images: (B, H, W, C), any numeric type.
        keys: Integer (B, K).
        fraction: Largest shift, of the height and of the width.
        fill: What comes in from outside: "constant" (`value`), "nearest", "reflect" (without repeating the edge), "wrap".
        value: The constant.

    Returns:
        Images of the same shape and type.

    Raises:
        DataError: The fill is unknown.
    """
    if fill not in FILLS:
        raise DataError(f'fill "{fill}" is not one of {", ".join(FILLS)}', USAGE)
    size = tf.cast(tf.shape(images)[1:3], tf.float32)
    most = tf.cast(size * fraction, tf.int32)
    amount = keyed.integers(keys, _SHIFT, 2, -most, most)  # (B, 2)
    inside = tf.ones([1, 1, 1, 1], tf.bool)
    for axis in (1, 2):
        length = tf.shape(images)[axis]
        places = tf.range(length)[None, :] - amount[:, axis - 1, None]  # (B, length)
        if fill == "constant":
            kept = (places >= 0) & (places < length)
            inside &= kept[:, :, None, None] if axis == 1 else kept[:, None, :, None]
        images = tf.gather(images, _within(places, length, fill), axis=axis, batch_dims=1)
    return tf.where(inside, images, tf.cast(value, images.dtype)) if fill == "constant" else images


def _within(places: tf.Tensor, length: tf.Tensor, fill: str) -> tf.Tensor:
    """Bring coordinates outside 0..length-1 back inside."""
    if fill == "wrap":
        return tf.math.floormod(places, length)
    if fill == "reflect":
        period = tf.maximum(2 * length - 2, 1)
        places = tf.math.floormod(places, period)
        return tf.minimum(places, period - places)
    return tf.clip_by_value(places, 0, length - 1)


def cutout(images: tf.Tensor, keys: tf.Tensor, *, fraction: float = 0.3, value: float = 0) -> tf.Tensor:
    """Blank a rectangle at a random centre, which may reach over the edge.

    Reference: DeVries, Taylor 2017, "Improved regularization of CNNs with Cutout", arXiv:1708.04552.

    Args:
        images: (B, H, W, C), any numeric type.
        keys: Integer (B, K).
        fraction: Side of the rectangle, of the height and of the width.
        value: What is put there.

    Returns:
        Images of the same shape and type.
    """
    size = tf.shape(images)[1:3]
    side = tf.cast(tf.round(tf.cast(size, tf.float32) * fraction), tf.int32)
    first = keyed.integers(keys, _CUTOUT, 2, 0, size - 1) - side // 2  # (B, 2)
    masks = []
    for axis in (0, 1):
        places = tf.range(size[axis])[None, :]
        masks.append((places >= first[:, axis, None]) & (places < (first + side)[:, axis, None]))
    hole = (masks[0][:, :, None] & masks[1][:, None, :])[..., None]
    return tf.where(hole, tf.cast(value, images.dtype), images)


def gaussian_noise(images: tf.Tensor, keys: tf.Tensor, *, stddev: float = 8.0) -> tf.Tensor:
    """Add normal noise to every value; uint8 images are rounded and clipped, float images are not.

    Args:
        images: (B, H, W, C), uint8 or float.
        keys: Integer (B, K).
        stddev: Standard deviation, in the units of the pixels.

    Returns:
        Images of the same shape and type.
    """
    shape = tf.shape(images)
    noise = tf.reshape(keyed.normal(keys, _NOISE, tf.reduce_prod(shape[1:])), shape)
    if images.dtype.is_floating:
        return images + tf.cast(stddev * noise, images.dtype)
    noisy = tf.round(tf.cast(images, tf.float32) + stddev * noise)
    return tf.cast(tf.clip_by_value(noisy, 0, 255), images.dtype)


def compose(*ops: Op) -> Op:
    """Return one operation that applies the given ones from left to right."""
    return lambda images, keys: functools.reduce(lambda done, op: op(done, keys), ops, images)


POLICIES: dict[str, tuple[Op, ...]] = {
    "none": (),
    "flip": (flip_horizontal,),
    "shift": (shift,),
    "cutout": (cutout,),
    "noise": (gaussian_noise,),
    "flip_shift": (flip_horizontal, shift),
    "flip_cutout": (flip_horizontal, cutout),
    "flip_shift_cutout": (flip_horizontal, shift, cutout),
}


def policy(name: str) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return what `feed(augment=...)` takes for a named policy.

    Args:
        name: One of `POLICIES`.

    Returns:
        (batch, keys) -> batch, which changes the images x of a batch (x, y[, weight]), or the batch where it is a
        tensor of images; None for "none".

    Raises:
        DataError: The name is unknown; the nearest are named.
    """
    if name not in POLICIES:
        near = difflib.get_close_matches(name, POLICIES, cutoff=0.4) or list(POLICIES)
        raise DataError(f'there is no augmentation "{name}"; did you mean {" or ".join(near)}?', USAGE)
    op = compose(*POLICIES[name])

    def augment(batch: Any, keys: tf.Tensor) -> Any:
        return (op(batch[0], keys), *batch[1:]) if isinstance(batch, tuple) else op(batch, keys)

    return augment if POLICIES[name] else None
