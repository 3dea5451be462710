"""Crops of photographs for networks that learn textures: from near and from afar, free of edges of their own."""

from __future__ import annotations

import tensorflow as tf

from pipelines import augment, stateless_random

CROP = 8  # the stream of random numbers, next to those of the augmentations
LARGER = 3  # the side that a photograph is brought to, in sides of a crop: room for crops from near and from afar
JUDGED = 2  # sides of a crop that a judged one sees


def random(images: tf.Tensor, keys: tf.Tensor, side: int) -> tf.Tensor:
    """Return crops (B, side, side, 3) uint8 of what is 1 to `JUDGED` sides large, from anywhere, mirrored or not."""
    draw = stateless_random.uniform(keys, CROP, 3)
    sides = side * (1 + draw[:, :1] * (JUDGED - 1))
    return augment.flip_horizontal(
        _cut(images, draw[:, 1:] * (tf.cast(images.shape[1], tf.float32) - sides), sides, side), keys
    )


def middle(images: tf.Tensor, side: int) -> tf.Tensor:
    """Return the middle of images (B, H, H, 3), `JUDGED` sides of it, as (B, side, side, 3) uint8."""
    rows, seen = tf.shape(images)[0], JUDGED * side
    return _cut(images, tf.fill([rows, 2], (images.shape[1] - seen) / 2), tf.fill([rows, 1], float(seen)), side)


def _cut(images: tf.Tensor, corners: tf.Tensor, sides: tf.Tensor, side: int) -> tf.Tensor:
    """Return squares of images (B, H, H, 3) at `side`, uint8; corners (B, 2) and their sides (B, 1) are in pixels.

    They are cut at twice the side and averaged, for a smaller picture of fewer pixels would have edges of its own.
    """
    boxes = tf.concat([corners, corners + sides - 1], axis=1) / (images.shape[1] - 1)
    twice = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), [2 * side, 2 * side])
    cut = tf.cast(tf.round(tf.nn.avg_pool2d(twice, 2, 2, "VALID")), tf.uint8)
    return tf.ensure_shape(cut, [None, side, side, 3])
