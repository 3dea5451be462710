"""Augmentation of batches, by the key of each example: (images, keys) -> images of the same shape and type.

The same key gives an example the same augmentation in any batch and on any number of threads (see
`pipelines.stateless_random`). Pixels are moved by gathers, not by a loop over examples. Pixel values are in [0, 255].
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import stateless_random
from zoobase.errors import USAGE, DataError

Op = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
FILLS = ("constant", "nearest", "reflect", "wrap")
_FLIP, _SHIFT, _CUTOUT, _NOISE = range(1, 5)  # stream ids: each operation has its own stream of random numbers


def flip_horizontal(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Mirror half of the images horizontally: images (B, H, W, C), keys integer (B, K)."""
    return tf.where(is_flipped(keys)[:, None, None, None], tf.reverse(images, [2]), images)


def is_flipped(keys: tf.Tensor) -> tf.Tensor:
    """Return which images `flip_horizontal` mirrors, bool (B,)."""
    return stateless_random.integers(keys, _FLIP, 1, 0, 1)[:, 0] == 1


def shift(
    images: tf.Tensor, keys: tf.Tensor, *, fraction: float = 0.1, fill: str = "constant", value: float = 0
) -> tf.Tensor:
    """Move each image by whole pixels, at most a fraction of its height and width.

    Args:
        images: (B, H, W, C), any numeric type.
        keys: Integer (B, K).
        fraction: Largest shift, as a fraction of height and width.
        fill: Values outside the image: "constant" (`value`), "nearest", "reflect" (no repeated edge) or "wrap".
        value: The constant.

    Returns:
        Images of the same shape and type.

    Raises:
        DataError: The fill is unknown.
    """
    if fill not in FILLS:
        raise DataError(f'fill "{fill}" is not one of {", ".join(FILLS)}', USAGE)
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    down, right = tf.unstack(offsets(keys, height, width, fraction)[..., None], axis=1)  # (B, 1) each
    rows = _within(tf.range(height) - down, height, fill)
    columns = _within(tf.range(width) - right, width, fill)
    return _pick(images, rows, columns, value)


def offsets(keys: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor, fraction: float = 0.1) -> tf.Tensor:
    """Return by how many pixels, down and to the right, `shift` moves images: int32 (B, 2)."""
    most = tf.cast(tf.cast(tf.stack([height, width]), tf.float32) * fraction, tf.int32)
    return stateless_random.integers(keys, _SHIFT, 2, -most, most)


def _pick(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, value: float) -> tf.Tensor:
    """Gather pixels at rows (B, H) and columns (B, W) of the image; negative indices give `value`."""
    # One gather from the flat batch, with a pixel of `value` prepended, is faster than one per axis.
    batch, height, width, channels = tf.unstack(tf.shape(images))
    outside = -2 * batch * height * width
    start = tf.range(batch)[:, None] * (height * width)
    rows = tf.where(rows < 0, outside, start + rows * width)
    columns = tf.where(columns < 0, outside, columns)
    indices = tf.maximum(rows[:, :, None] + columns[:, None, :], -1) + 1
    fill_pixel = tf.cast(tf.fill([1, channels], value), images.dtype)
    pixels = tf.concat([fill_pixel, tf.reshape(images, [-1, channels])], 0)
    return tf.ensure_shape(tf.reshape(tf.gather(pixels, tf.reshape(indices, [-1])), tf.shape(images)), images.shape)


def _within(positions: tf.Tensor, length: tf.Tensor, fill: str) -> tf.Tensor:
    """Map positions outside 0..length-1 to inside, or to -1 for a constant fill."""
    if fill == "constant":
        return tf.where((positions >= 0) & (positions < length), positions, -1)
    if fill == "wrap":
        return tf.math.floormod(positions, length)
    if fill == "reflect":
        period = tf.maximum(2 * length - 2, 1)
        positions = tf.math.floormod(positions, period)
        return tf.minimum(positions, period - positions)
    return tf.clip_by_value(positions, 0, length - 1)


def cutout(images: tf.Tensor, keys: tf.Tensor, *, fraction: float = 0.3, value: float = 0) -> tf.Tensor:
    """Erase a rectangle at a random centre, which may extend beyond the edge.

    Reference: DeVries, Taylor 2017, "Improved regularization of CNNs with Cutout", arXiv:1708.04552.

    Args:
        images: (B, H, W, C), any numeric type.
        keys: Integer (B, K).
        fraction: Size of the rectangle, as a fraction of height and width.
        value: The value in the rectangle.

    Returns:
        Images of the same shape and type.
    """
    size = tf.shape(images)[1:3]
    side = tf.cast(tf.round(tf.cast(size, tf.float32) * fraction), tf.int32)
    first = stateless_random.integers(keys, _CUTOUT, 2, 0, size - 1) - side // 2  # (B, 2)
    masks = []
    for axis in (0, 1):
        positions = tf.range(size[axis])[None, :]
        masks.append((positions >= first[:, axis, None]) & (positions < (first + side)[:, axis, None]))
    mask = (masks[0][:, :, None] & masks[1][:, None, :])[..., None]
    return tf.where(mask, tf.cast(value, images.dtype), images)


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
    noise = tf.reshape(stateless_random.normal(keys, _NOISE, tf.reduce_prod(shape[1:])), shape)
    if images.dtype.is_floating:
        return images + tf.cast(stddev * noise, images.dtype)
    noisy = tf.round(tf.cast(images, tf.float32) + stddev * noise)
    return tf.cast(tf.clip_by_value(noisy, 0, 255), images.dtype)


def compose(*ops: Op) -> Op:
    """Return one operation that applies the operations from left to right."""
    return lambda images, keys: functools.reduce(lambda result, op: op(result, keys), ops, images)


def on_images(*ops: Op) -> Callable[[Any, tf.Tensor], Any]:
    """Return the argument of `feed(augment=...)` for operations on the images x of a batch (x, y[, weight]).

    Args:
        *ops: Operations on images, applied from left to right.

    Returns:
        (batch, keys) -> batch; a batch that is a single tensor holds the images.
    """
    op = compose(*ops)
    return lambda batch, keys: (op(batch[0], keys), *batch[1:]) if isinstance(batch, tuple) else op(batch, keys)


_MIX = 7  # stream id, besides those of `pipelines.augment.ops`
_STEPS = 1024


def mixup(batch: tuple[Any, ...], keys: tf.Tensor, *, num_classes: int, alpha: float = 0.2) -> tuple[Any, ...]:
    """Mix each example with the previous one in the batch (Zhang 2018, arXiv:1710.09412)."""
    # Labels integer (B,) become float32 (B, num_classes). The share is of Beta(alpha, alpha), the partner of the batch.
    from scipy import stats

    quantiles = stats.beta.ppf((np.arange(_STEPS) + 0.5) / _STEPS, alpha, alpha)
    share = tf.gather(tf.constant(quantiles, tf.float32), stateless_random.integers(keys, _MIX, 1, 0, _STEPS - 1)[:, 0])
    images, labels, *weights = batch
    mixed = _mix(tf.cast(images, tf.float32), share[:, None, None, None])
    mixed = tf.cast(mixed if images.dtype.is_floating else tf.round(mixed), images.dtype)
    return (mixed, _mix(tf.one_hot(labels, num_classes), share[:, None]), *(_mix(w, share) for w in weights))


def _mix(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return values * share + tf.roll(values, 1, 0) * (1 - share)
