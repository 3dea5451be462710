"""The loss of a detector.

References: the focal loss of centres is that of Zhou 2019, arXiv:1904.07850, for classes that exclude each other; that
of boxes, at all cells near a centre, is that of Liu 2019, arXiv:1909.00700, with the generalised IoU of Rezatofighi
2019, arXiv:1902.09630.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.detection.decoding import STRIDE, boxes_of, centres

SPREAD = 0.54 / 6  # standard deviation of the Gaussian around a centre, as a share of the side of the box (Liu 2019)
NEAR = 0.1  # value of it from which on a cell learns the box
FOCUS, FORGIVENESS = 2, 4  # exponents: of the error, and of one minus the Gaussian


@keras.saving.register_keras_serializable("zoo")
class DetectionLoss(keras.losses.Loss):
    """Focal loss of the classes of cells, plus the generalised IoU loss of their boxes.

    Shapes: rows (B, M, 6), as of `pipelines.images.boxes`; outputs (B, h, w, classes + 1 + 4): logits, of which 0 is
    background, then distances -> (B,). Objects that are ignored are not learnt.
    """

    def __init__(
        self, height: int, width: int, box_weight: float = 1.0, name: str = "detection_loss", **options: Any
    ) -> None:
        """Take the size of the images in pixels, and the weight of the loss of boxes."""
        super().__init__(name=name, **options)
        self.height, self.width, self.box_weight = height, width, box_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image."""
        rows, outputs = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        logits, distances = outputs[..., :-4], outputs[..., -4:]
        h, w = logits.shape[1:3]
        edges, labels = rows[..., :4], ops.cast(rows[..., 4], "int32")
        gaussian = gaussians(rows, h, w)
        count = ops.maximum(ops.sum(_valid(rows), axis=-1), 1.0)
        log_p = ops.log_softmax(logits, axis=-1)
        centre = ops.cast(gaussian > 0.999, "float32")  # the one cell of an object in which its centre is
        one_hot = ops.one_hot(ops.maximum(labels, 0), logits.shape[-1] - 1, dtype="float32")
        positive = ops.minimum(ops.einsum("bmhw,bmc->bhwc", centre, one_hot), 1.0)
        log_object = log_p[..., 1:]
        found = ops.sum(positive * (1.0 - ops.exp(log_object)) ** FOCUS * log_object, axis=(1, 2, 3))
        nearness = ops.max(gaussian, axis=1)
        foreground = 1.0 - ops.exp(log_p[..., 0])
        empty = ops.sum((1.0 - nearness) ** FORGIVENESS * foreground**FOCUS * log_p[..., 0], axis=(1, 2))

        chosen = ops.one_hot(ops.argmax(gaussian, axis=1), rows.shape[1], axis=1, dtype="float32")
        target = ops.einsum("bmhw,bme->bhwe", chosen, edges)
        weight = nearness * ops.cast(nearness >= NEAR, "float32")
        loss = weight * (1.0 - generalised_iou(boxes_of(distances, self.height, self.width), target))
        boxes = ops.sum(loss, axis=(1, 2)) / ops.maximum(ops.sum(weight, axis=(1, 2)), 1e-6)
        return -(found + empty) / count + self.box_weight * boxes

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"height": self.height, "width": self.width, "box_weight": self.box_weight}
        return {**super().get_config(), **own}


def gaussians(rows: Any, height: int, width: int) -> Any:
    """Return a Gaussian of each object around the cell of its centre (B, M, h, w); zero of one that is ignored."""
    edges = rows[..., :4]
    size = ops.maximum(edges[..., 2:] - edges[..., :2], 1.0)
    middle = (edges[..., 2:] + edges[..., :2]) / 2
    limits = np.array([width - 1, height - 1], np.float32)
    cell = STRIDE * (ops.clip(ops.floor(middle / STRIDE), 0.0, limits) + 0.5)  # of the centre of each object
    away = (centres(height, width)[None, None] - cell[:, :, None, None]) / (SPREAD * size[:, :, None, None])
    return _valid(rows)[..., None, None] * ops.exp(-0.5 * ops.sum(away**2, axis=-1))


def _valid(rows: Any) -> Any:
    return ops.cast(ops.logical_and(rows[..., 4] >= 0, rows[..., 5] < 0.5), "float32")  # (B, M)


def generalised_iou(a: Any, b: Any) -> Any:
    """Return the generalised IoU, in [-1, 1], of boxes (..., 4): left, top, right, bottom."""
    common = _area(ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - common
    hull = _area(ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:]))
    return common / ops.maximum(union, 1e-6) - (hull - union) / ops.maximum(hull, 1e-6)


def _area(start: Any, end: Any) -> Any:
    sides = ops.relu(end - start)
    return sides[..., 0] * sides[..., 1]
