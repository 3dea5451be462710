"""Boxes of objects: rows (x1, y1, x2, y2, label, ignored), float32, with edges in pixels of the image.

Pixel i covers [i, i + 1): a box of a whole image of 64x48 pixels is (0, 0, 64, 48). Images have different numbers of
objects; rows are padded to one number for all, with the label `PADDING`.
"""

from collections.abc import Mapping

import tensorflow as tf

from pipelines.images.decoding import fitted_size

PADDING = -1  # label of a row that is no object
COLUMNS = 6
VISIBLE = 0.25  # smallest share of a box inside the image, below which it is no object of the image
FEATURES = {
    "boxes": "float32 (objects, 4): left, top, right, bottom in pixels",
    "labels": "int64 (objects,)",
    "ignored": "int64 (objects,): 1 for what is neither to be detected nor a mistake if it is",
    "size": "int32 (2,): height and width of the image",
}


def padded(example: Mapping[str, tf.Tensor], count: int, height: int, width: int, fit: str = "stretch") -> tf.Tensor:
    """Return the boxes of an example as rows (count, 6), in the geometry that `decode` gives its image."""
    start, scale = fitted_size(example["size"], height, width, fit)
    corners = tf.reshape(tf.cast(example["boxes"], tf.float32), [-1, 2, 2])  # (objects, corner, (x, y))
    moved = tf.reshape(corners * scale[::-1] + start[::-1], [-1, 4])
    marks = tf.stack([tf.cast(example[name], tf.float32) for name in ("labels", "ignored")], axis=1)
    rows = clipped(tf.concat([moved, tf.reshape(marks, [-1, 2])], axis=1), height, width)
    missing = count - tf.shape(rows)[0]
    return tf.ensure_shape(tf.concat([rows, tf.repeat(padding_row(), missing, axis=0)], axis=0), [count, COLUMNS])


def padding_row() -> tf.Tensor:
    """Return the row that is no object: float32 (1, 6)."""
    return tf.constant([[0, 0, 0, 0, PADDING, 0]], tf.float32)


def clipped(rows: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Clip boxes (..., 6) to an image; those of which less than `VISIBLE` is inside it become padding."""
    sides = tf.cast(tf.stack([width, height, width, height]), tf.float32)
    boxes = tf.clip_by_value(rows[..., :4], 0.0, sides)
    is_object = (rows[..., 4] >= 0) & (_area(boxes) > 0) & (_area(boxes) >= VISIBLE * _area(rows[..., :4]))
    return tf.where(is_object[..., None], tf.concat([boxes, rows[..., 4:]], axis=-1), padding_row()[0])


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return tf.maximum(boxes[..., 2] - boxes[..., 0], 0.0) * tf.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def moved(rows: tf.Tensor, matrices: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Move boxes (B, M, 6) with the pixels of their images: the smallest upright box around the moved corners."""
    # `matrices` (B, 2, 3) lead from a pixel (x, y) of the new image to one of the old image.
    forward = tf.linalg.inv(matrices[..., :2])  # (B, 2, 2)
    edges = tf.cast(rows[..., :4], tf.float64) - 0.5  # the centre of pixel i is at i
    corners = tf.stack([tf.gather(edges, pair, axis=-1) for pair in ([0, 1], [2, 1], [2, 3], [0, 3])], axis=2)
    places = tf.einsum("bij,bmkj->bmki", forward, corners - matrices[:, None, None, :, 2]) + 0.5
    boxes = tf.concat([tf.reduce_min(places, axis=2), tf.reduce_max(places, axis=2)], axis=-1)
    return clipped(tf.concat([tf.cast(boxes, tf.float32), rows[..., 4:]], axis=-1), height, width)
