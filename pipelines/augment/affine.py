"""Augmentation of photographs on whole batches: one affine warp for all that moves, one step for the light.

Every amount is drawn from a table by the key of an example: sines would differ in their last bits with its place in the
batch (see `pipelines.stateless_random`). Matrices are made in float64, so that what a compiler reorders is gone in
float32. OpenCV moves the pixels: TensorFlow's own projective transform takes eight times as long.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf

from pipelines import stateless_random
from pipelines.errors import USAGE, DataError

FILLS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
_BILINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_WARP, _LIGHT = 5, 6  # salts, beside those of `pipelines.augment`
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
) -> tf.Tensor:
    """Rotate, shift, shear, zoom and mirror each image by its own random amounts, in one bilinear interpolation.

    Args:
        images: (B, H, W, C), uint8 or float.
        keys: Integer (B, K).
        rotation: Largest angle, in degrees, to either side.
        width_shift: Largest shift, as a share of the width.
        height_shift: Largest shift, as a share of the height.
        shear: Largest angle, in degrees, by which verticals lean.
        zoom: Largest share by which the image grows or shrinks; its aspect is kept.
        flip: Whether half of the images are mirrored left to right.
        fill: What comes in from outside: "constant" (`value`), "nearest" (the edge), "reflect" (the image mirrored, its
            edge repeated) or "wrap".
        value: The constant.

    Returns:
        Images of the same shape and type.

    Raises:
        DataError: The fill is unknown.
    """
    if fill not in FILLS:
        raise DataError(f'fill "{fill}" is not one of {", ".join(FILLS)}', USAGE)
    places = stateless_random.integers(keys, _WARP, 6, 0, _STEPS - 1)
    turn, down, right, lean, size, side = tf.unstack(places, axis=1)
    cos, sin = _table(np.cos, turn, np.deg2rad(rotation)), _table(np.sin, turn, np.deg2rad(rotation))
    slope = _table(np.tan, lean, np.deg2rad(shear))
    scale = _table(lambda amount: 1 / (1 + amount), size, zoom)
    mirror = tf.where(side < _STEPS // 2, -_ONE, _ONE) if flip else tf.ones_like(scale)
    # From a pixel of the result to the one it shows, about the centre: turn, lean, grow, mirror.
    xx, xy = scale * cos * mirror, scale * (cos * slope - sin)
    yx, yy = scale * sin * mirror, scale * (sin * slope + cos)
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float64))
    x, y = (width - 1) / 2, (height - 1) / 2
    dx, dy = width * _table(_same, right, width_shift), height * _table(_same, down, height_shift)
    rows = [xx, xy, x - (xx * x + xy * y) - dx, yx, yy, y - (yx * x + yy * y) - dy]
    moves = tf.cast(tf.reshape(tf.stack(rows, axis=1), [-1, 2, 3]), tf.float32)
    move = functools.partial(_move, border=FILLS[fill], constant=[float(value)] * 4)
    pixels = images if images.dtype == tf.uint8 else tf.cast(images, tf.float32)
    return _as(_each(move, pixels, moves), images)


def light(images: tf.Tensor, keys: tf.Tensor, *, brightness: float = 0, contrast: float = 0) -> tf.Tensor:
    """Change the brightness and the contrast of each image by its own random amounts.

    Args:
        images: (B, H, W, C), uint8 or float, in [0, 255].
        keys: Integer (B, K).
        brightness: Most that is added or taken, as a share of 255.
        contrast: Most by which differences from the middle grey grow or shrink, as a share.

    Returns:
        Images of the same shape and type, clipped to [0, 255].
    """
    more, stretch = tf.unstack(stateless_random.integers(keys, _LIGHT, 2, 0, _STEPS - 1), axis=1)
    factor = tf.cast(1 + _table(_same, stretch, contrast), tf.float32)[:, None, None, None]
    offset = tf.cast(127.5 + 255 * _table(_same, more, brightness), tf.float32)[:, None, None, None]

    def lit(values: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value((tf.cast(values, tf.float32) - 127.5) * factor + offset, 0, 255)

    if images.dtype != tf.uint8:
        return _as(lit(images), images)
    levels = tf.cast(tf.round(lit(tf.range(256)[None, :, None, None])), tf.uint8)
    return _each(cv2.LUT, images, levels)


def _move(image: np.ndarray, matrix: np.ndarray, out: np.ndarray, border: int, constant: list[float]) -> None:
    """Write `image` to `out`, moved; colour takes a fourth channel along: OpenCV moves four faster than three."""
    colour = image.shape[2] == 3
    source, target = (cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), None) if colour else (image, out)
    moved = cv2.warpAffine(source, matrix, image.shape[1::-1], target, _BILINEAR, border, constant)
    if colour:
        cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB, out)


def _each(
    change: Callable[[np.ndarray, np.ndarray, np.ndarray], object], images: tf.Tensor, by: tf.Tensor
) -> tf.Tensor:
    """Return images (B, H, W, C), each changed by its row of `by`; `change` is given (image, row, where to write)."""

    def run(images: np.ndarray, by: np.ndarray) -> np.ndarray:
        out = np.empty_like(images)
        for image, row, place in zip(images, by, out, strict=True):
            change(image, row, place)
        return out

    return tf.ensure_shape(tf.numpy_function(run, [images, by], images.dtype, stateful=False), images.shape)


def _same(amounts: np.ndarray) -> np.ndarray:
    return amounts


def _table(function: np.ufunc, places: tf.Tensor, most: float) -> tf.Tensor:
    """Return float64 (B,): `function` of amounts from -most to most, by their places 0.._STEPS-1."""
    return tf.gather(tf.constant(function(np.linspace(-most, most, _STEPS)), tf.float64), places)


def _as(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    values = values if like.dtype.is_floating else tf.round(values)
    return tf.ensure_shape(tf.cast(values, like.dtype), like.shape)
