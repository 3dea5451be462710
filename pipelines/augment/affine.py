"""Augmentation of batches of photographs: one affine warp for all geometric changes, one step for brightness.

Every amount is looked up in a table by the key of an example: the last bits of computed sines would depend on the
position in the batch (see `pipelines.stateless_random`). Matrices are computed in float64, so that rounding differences
disappear in float32. OpenCV warps the pixels: TensorFlow's projective transform takes eight times as long.
"""

import functools
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf

from pipelines import stateless_random
from zoobase.errors import USAGE, DataError

FILLS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
_WARP, _BRIGHTNESS = 5, 6  # stream ids, besides those of `pipelines.augment.ops`
_STEPS = 1024  # entries of a table
_ONE = np.float64(1)


def warp(
    images: tf.Tensor,
    keys: tf.Tensor,
    *,
    rotation: float = 0,
    width_shift: float = 0,
    height_shift: float = 0,
    shear: float = 0,
    zoom: float = 0,
    flip: bool = False,
    fill: str = "nearest",
    value: float = 0,
    interpolation: str = "bilinear",
) -> tf.Tensor:
    """Rotate, shift, shear, zoom and flip each image (B, H, W, C) by random amounts, in one interpolation."""
    # rotation and shear: largest angle in degrees; shifts: fractions of the side; zoom: relative change of size; flip:
    # half of the images. fill: outside is "constant" (`value`), "nearest", "reflect" (the edge repeated) or "wrap".
    # Masks, whose values are class ids, need interpolation "nearest".
    for kind, name, names in (("fill", fill, FILLS), ("interpolation", interpolation, INTERPOLATIONS)):
        if name not in names:
            raise DataError(f'{kind} "{name}" is not one of {", ".join(names)}', USAGE)
    size = tf.unstack(tf.shape(images)[1:3])
    motion = matrices(
        keys, *size, rotation=rotation, width_shift=width_shift, height_shift=height_shift, shear=shear, zoom=zoom,
        flip=flip,
    )  # fmt: skip
    rows = tf.cast(motion, tf.float32)
    flags = INTERPOLATIONS[interpolation] | cv2.WARP_INVERSE_MAP
    warp_image = functools.partial(_warp_image, flags=flags, border=FILLS[fill], constant=[float(value)] * 4)
    pixels = images if images.dtype == tf.uint8 else tf.cast(images, tf.float32)
    return _as(_map_images(warp_image, pixels, rows), images)


def matrices(
    keys: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    *,
    rotation: float = 0,
    width_shift: float = 0,
    height_shift: float = 0,
    shear: float = 0,
    zoom: float = 0,
    flip: bool = False,
) -> tf.Tensor:
    """Return what `warp` does for keys (B, K): float64 (B, 2, 3) from a pixel (x, y) of the result to its source."""
    indices = stateless_random.integers(keys, _WARP, 6, 0, _STEPS - 1)
    angle, down, right, shear_angle, size, is_flipped = tf.unstack(indices, axis=1)
    cos, sin = _table(np.cos, angle, np.deg2rad(rotation)), _table(np.sin, angle, np.deg2rad(rotation))
    slope = _table(np.tan, shear_angle, np.deg2rad(shear))
    scale = _table(lambda amount: 1 / (1 + amount), size, zoom)
    mirror = tf.where(is_flipped < _STEPS // 2, -_ONE, _ONE) if flip else tf.ones_like(scale)
    # From a pixel of the result to its source, about the centre: rotation, shear, zoom, mirror.
    xx, xy = scale * cos * mirror, scale * (cos * slope - sin)
    yx, yy = scale * sin * mirror, scale * (sin * slope + cos)
    height, width = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    x, y = (width - 1) / 2, (height - 1) / 2
    dx, dy = width * _table(_identity, right, width_shift), height * _table(_identity, down, height_shift)
    rows = [xx, xy, x - (xx * x + xy * y) - dx, yx, yy, y - (yx * x + yy * y) - dy]
    return tf.reshape(tf.stack(rows, axis=1), [-1, 2, 3])


def adjust_light(images: tf.Tensor, keys: tf.Tensor, *, brightness: float = 0, contrast: float = 0) -> tf.Tensor:
    """Change the brightness (fraction of 255) and contrast of images (B, H, W, C) in [0, 255], clipped to it."""
    offset_index, contrast_index = tf.unstack(stateless_random.integers(keys, _BRIGHTNESS, 2, 0, _STEPS - 1), axis=1)
    factor = tf.cast(1 + _table(_identity, contrast_index, contrast), tf.float32)[:, None, None, None]
    offset = tf.cast(127.5 + 255 * _table(_identity, offset_index, brightness), tf.float32)[:, None, None, None]

    def adjusted(values: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value((tf.cast(values, tf.float32) - 127.5) * factor + offset, 0, 255)

    if images.dtype != tf.uint8:
        return _as(adjusted(images), images)
    levels = tf.cast(tf.round(adjusted(tf.range(256)[None, :, None, None])), tf.uint8)
    return _map_images(cv2.LUT, images, levels)


def _warp_image(
    image: np.ndarray, matrix: np.ndarray, out: np.ndarray, flags: int, border: int, constant: list[float]
) -> None:
    """Write the warped `image` to `out`. Colour images get a fourth channel: OpenCV warps four faster than three."""
    is_colour = image.shape[2] == 3
    source, target = (cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), None) if is_colour else (image, out)
    warped = cv2.warpAffine(source, matrix, image.shape[1::-1], target, flags, border, constant)
    if is_colour:
        cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, out)


def _map_images(
    change: Callable[[np.ndarray, np.ndarray, np.ndarray], object], images: tf.Tensor, by: tf.Tensor
) -> tf.Tensor:
    """Return images (B, H, W, C), each changed by its row of `by`; `change` takes (image, row, output array)."""

    def run(images: np.ndarray, by: np.ndarray) -> np.ndarray:
        out = np.empty_like(images)
        for image, row, target in zip(images, by, out, strict=True):
            change(image, row, target)
        return out

    return tf.ensure_shape(tf.numpy_function(run, [images, by], images.dtype, stateful=False), images.shape)


def _identity(amounts: np.ndarray) -> np.ndarray:
    return amounts


def _table(function: np.ufunc, indices: tf.Tensor, largest: float) -> tf.Tensor:
    """Return float64 (B,): `function` of amounts from -largest to largest, by their indices 0.._STEPS-1."""
    return tf.gather(tf.constant(function(np.linspace(-largest, largest, _STEPS)), tf.float64), indices)


def _as(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    values = values if like.dtype.is_floating else tf.round(values)
    return tf.ensure_shape(tf.cast(values, like.dtype), like.shape)
