"""What a cascade of networks does between them, in a graph with a fixed number of candidates.

Candidates are rows of fixed number, the best first; those that are none have the score `NONE`. Scores are log-odds:
probabilities near one are the same number in float32, and their order would be chance.

Suppression is that of mtcnn 1.0.0: a candidate is left out if any better one overlaps it, be that left out itself or
not, so that no loop is needed. Leaving out the worst candidates first changes nothing for the others.
"""

from typing import Any

import numpy as np
import tensorflow as tf

NONE = -1e3


def area_weights(side: int, smaller: int) -> np.ndarray:
    """Return the shares of pixels in the larger ones of a smaller image, float32 (smaller, side), sums one."""
    ends = np.arange(smaller + 1) * (side / smaller)
    pixel = np.arange(side)
    covered = np.minimum(ends[1:, None], pixel + 1) - np.maximum(ends[:-1, None], pixel)
    return (np.maximum(covered, 0) * (smaller / side)).astype(np.float32)


def crop(image: tf.Tensor, boxes: tf.Tensor, side: int) -> tf.Tensor:
    """Return squares (B * K, side, side, C) of images (B, H, W, C) at boxes (B, K, 4), bilinear, zero outside."""
    # Coordinates are those of mtcnn, in units of the size; `tf.image.crop_and_resize` takes the last pixel as one.
    height, width, channels = image.shape[1:]
    pixels = tf.reshape(image, (-1, height * width, channels))

    def places(start: tf.Tensor, end: tf.Tensor, length: int) -> tuple[tf.Tensor, ...]:
        """Return of each row or column (B, K, side): the pixels on both sides, the share of the second; if inside."""
        steps = np.linspace(0, 1, side, dtype=np.float32)
        at = (start + (end - start) * steps) * ((length - 1) / length)
        within = tf.clip_by_value(at, 0.0, length - 1.0)
        first = tf.floor(within)
        second = tf.minimum(first + 1, length - 1.0)
        return tf.cast(first, tf.int32), tf.cast(second, tf.int32), within - first, tf.cast(at == within, tf.float32)

    left, top, right, bottom = tf.split(boxes, 4, axis=-1)
    upper, lower, down, inside_y = (tf.expand_dims(v, -1) for v in places(top, bottom, height))
    first, second, along, inside_x = (tf.expand_dims(v, -2) for v in places(left, right, width))

    def at(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        values = tf.gather(pixels, tf.reshape(y * width + x, (-1, boxes.shape[1] * side * side)), batch_dims=1)
        return tf.reshape(values, (-1, side, side, channels))

    def of_patches(v: tf.Tensor) -> tf.Tensor:  # (B, K, side, 1) or (B, K, 1, side) -> (B * K, side, 1 or side, 1)
        return tf.reshape(v, (-1, *v.shape[2:], 1))

    down, along = of_patches(down), of_patches(along)
    above = at(upper, first) * (1 - along) + at(upper, second) * along
    below = at(lower, first) * (1 - along) + at(lower, second) * along
    return (above * (1 - down) + below * down) * of_patches(inside_y) * of_patches(inside_x)


def log_odds(logits: tf.Tensor, threshold: float) -> tf.Tensor:
    """Return the log-odds of the second of two classes (..., 2); `NONE` where it is not above a threshold."""
    odds = logits[..., 1] - logits[..., 0]
    return tf.where(odds > float(np.log(threshold / (1 - threshold))), odds, NONE)


def best(scores: tf.Tensor, count: int, *values: tf.Tensor) -> tuple[Any, ...]:
    """Return the best scores (B, count) of (B, N), and their rows of `values`; zeros with the score `NONE` follow."""
    missing = count - scores.shape[1]
    if missing > 0:
        scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=NONE)
        values = tuple(tf.pad(v, [[0, 0], [0, missing], [0, 0]]) for v in values)
    top, places = tf.math.top_k(scores, count)
    return top, *(tf.gather(v, places, batch_dims=1) for v in values)


def suppress(scores: tf.Tensor, boxes: tf.Tensor, most: float, of_smaller: bool = False) -> tf.Tensor:
    """Return the scores (B, K), best first, with `NONE` for boxes (B, K, 4) that overlap a better one too much."""
    # `most`: largest overlap that is not too much; IoU, or with `of_smaller` the share of the smaller box.
    one, other = tf.expand_dims(boxes, 2), tf.expand_dims(boxes, 1)
    sides = tf.nn.relu(tf.minimum(one, other)[..., 2:] - tf.maximum(one, other)[..., :2])
    common = sides[..., 0] * sides[..., 1]
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    one, other = tf.expand_dims(area, 2), tf.expand_dims(area, 1)
    whole = tf.minimum(one, other) if of_smaller else one + other - common
    order = tf.range(scores.shape[1])
    better = tf.cast(tf.expand_dims(order, 1) < order, tf.float32)  # row than column; a constant would be large
    covered = tf.reduce_max(tf.cast(common > most * whole, tf.float32) * better, axis=1)
    return tf.where(covered > 0, NONE, scores)


def squares(boxes: tf.Tensor) -> tf.Tensor:
    """Return the squares (B, K, 4) of the larger sides of boxes, around their centres."""
    sides = boxes[..., 2:] - boxes[..., :2]
    side = tf.reduce_max(sides, axis=-1, keepdims=True)
    start = boxes[..., :2] + (sides - side) / 2
    return tf.concat([start, start + side], axis=-1)


def place(boxes: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Return points, x and y in turn (B, K, 2 * P), of shares of the sides of boxes (B, K, 2 * P), first every x."""
    shares = tf.reshape(points, (-1, boxes.shape[1], 2, points.shape[-1] // 2))
    sides = boxes[..., 2:] - boxes[..., :2] + 1
    placed = tf.expand_dims(boxes[..., :2], -1) - 1 + shares * tf.expand_dims(sides, -1)
    return tf.reshape(tf.transpose(placed, (0, 1, 3, 2)), (-1, *points.shape[1:]))
