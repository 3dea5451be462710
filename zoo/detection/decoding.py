"""Boxes, scores and classes of the outputs of a detector, by `keras.ops` alone: the same in every runtime.

A detector predicts at each cell of a grid, every `STRIDE` pixels, the class of the object whose centre is there, or
background, and how far the edges of its box are from the centre of the cell. Cells beside a better one are suppressed
by max pooling, in place of non-maximum suppression (Zhou 2019, arXiv:1904.07850).

Nothing is sorted, and no cell is left out: the best K of nearly equal scores, in their order, would be others in
another runtime, and the boxes in their places others, too. All that is decoded here is continuous, but the classes, of
which the proof knows by their probabilities which are tied.
"""

from typing import Any

import numpy as np
from keras import ops

STRIDE = 4  # pixels between cells
COARSEST = 16  # stride of the smallest feature maps: images are padded to a multiple of it
STEEPNESS = 4.0  # a cell beside one of 1 + 1/4 times its score or more has the score zero


def centres(height: int, width: int) -> np.ndarray:
    """Return the centre (x, y) of each cell in pixels, float32 (h, w, 2)."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return (STRIDE * (np.stack([x, y], axis=-1) + 0.5)).astype(np.float32)


def boxes_of(distances: Any, height: int, width: int) -> Any:
    """Return left, top, right and bottom (B, h, w, 4) in pixels, not clipped, of distances in shares of the image."""
    centre = centres(*distances.shape[1:3])
    signs = np.array([-width, -height, width, height], np.float32)
    return np.concatenate([centre, centre], axis=-1)[None] + distances * signs


def decode(logits: Any, distances: Any, height: int, width: int) -> dict[str, Any]:
    """Return what is detected at each of the K = h * w cells, of logits (B, h, w, classes + 1) and distances.

    Returns:
        `boxes` float32 (B, K, 4): left, top, right and bottom in pixels, inside the image; `scores` float32 (B, K) in
        [0, 1], zero beside better cells; `classes` int32 (B, K), 0 where background is more probable than any object;
        and `probabilities` float32 (B, K, classes + 1).
    """
    cells, classes = int(np.prod(logits.shape[1:3])), logits.shape[-1]
    probabilities = ops.softmax(logits, axis=-1)
    own = ops.max(probabilities[..., 1:], axis=-1, keepdims=True)
    best = ops.max_pool(own, 3, strides=1, padding="same")
    scores = ops.relu(own - STEEPNESS * (best - own))
    edges = boxes_of(distances, height, width)
    x, y = (ops.clip(edges[..., i::2], 0.0, float(side)) for i, side in ((0, width), (1, height)))
    boxes = ops.concatenate([x[..., :1], y[..., :1], x[..., 1:], y[..., 1:]], axis=-1)
    leading = ops.top_k(ops.reshape(logits, (-1, cells, classes)), 1)[1]  # Keras' argmax needs operators TFLite lacks
    return {
        "boxes": ops.reshape(boxes, (-1, cells, 4)),
        "scores": ops.reshape(scores, (-1, cells)),
        "classes": ops.cast(ops.squeeze(leading, axis=-1), "int32"),
        "probabilities": ops.reshape(probabilities, (-1, cells, classes)),
    }
