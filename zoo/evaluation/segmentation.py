"""Metrics of masks from confusion matrices of single images, and their display."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.images import IGNORE
from pipelines.images.masks import palette


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the confusion matrix int64 (N, classes, classes) of each image: true rows, predicted columns."""
    # Class ids (N, H, W); true pixels of 255 do not count.
    valid = truth != IGNORE
    image = np.broadcast_to(np.arange(len(truth))[:, None, None], truth.shape)[valid]
    cells = (image * num_classes + truth[valid]) * num_classes + predicted[valid]
    return np.bincount(cells, minlength=len(truth) * num_classes**2).reshape(-1, num_classes, num_classes)


def scores(matrix: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of a confusion matrix (classes, classes) of pixels."""
    # IoU is the Jaccard index, Dice the F1 score of pixels; classes in neither truth nor predictions do not count.
    hits, true, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    union = true + predicted - hits
    occurs = union > 0
    iou, dice = hits / np.maximum(union, 1), 2 * hits / np.maximum(true + predicted, 1)
    per_class = {
        name: {
            "iou": float(iou[i]) if occurs[i] else None,
            "dice": float(dice[i]) if occurs[i] else None,
            "pixels": int(true[i]),
        }
        for i, name in enumerate(names)
    }
    return {
        "mean_iou": float(mean_iou(matrix)),
        "pixel_accuracy": float(hits.sum() / max(matrix.sum(), 1)),
        "mean_dice": float(dice[occurs].mean()) if occurs.any() else 0.0,
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
    }


def mean_iou(matrices: np.ndarray) -> np.ndarray:
    """Return the mean IoU (...) of confusion matrices (..., classes, classes), over the classes that occur."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    union = matrices.sum(axis=-2) + matrices.sum(axis=-1) - hits
    return (hits / np.maximum(union, 1)).sum(axis=-1) / np.maximum((union > 0).sum(axis=-1), 1)


def overlay(images: np.ndarray, masks: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Return uint8 (..., H, W, 3): images with the classes of pixels in colour; class 0 as it is, ignored cream."""
    share = np.where(masks == 0, 0.0, opacity)[..., None]
    mixed = (1 - share) * images + share * palette()[masks]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def legend(names: Sequence[str], present: np.ndarray) -> dict[str, np.ndarray]:
    """Return the names and colours, uint8 (3,), of the class ids that are present, without class 0."""
    colours = palette()
    return {"ignored" if i == IGNORE else names[i]: colours[i] for i in map(int, present) if i}
