"""Average precision of detections, as COCO defines it, from what each image contributes.

Reference: Lin 2014, arXiv:1405.0312, and https://cocodataset.org/#detection-eval. `pycocotools` gives the same numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

IOUS = np.linspace(0.5, 0.95, 10)  # at which average precision is computed
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # detections of an image that count, the best ones
LOWEST = 0.01  # score of those that count
REPEATED = 0.5  # IoU with a better detection of its class from which on one is a repetition


def best(outputs: Mapping[str, np.ndarray], lowest: float = LOWEST) -> np.ndarray:
    """Return the best detections float32 (N, min(K, `MOST`), 6): left, top, right, bottom, class, score; 0 for none."""
    scores = np.where(outputs["scores"] < lowest, 0, outputs["scores"])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :MOST]
    classes = outputs["probabilities"][..., 1:].argmax(axis=-1)
    columns = [outputs["boxes"], classes[..., None], scores[..., None]]
    return np.take_along_axis(np.concatenate(columns, axis=-1), order[..., None], axis=1).astype(np.float32)


def distinct(detections: np.ndarray) -> np.ndarray:
    """Return the detections (D, 6) of one image, best first, without those that repeat a better one."""
    # Two neighbouring cells may find the same object. What is shown has it once; the metrics are of all.
    kept: list[int] = []
    for i in np.flatnonzero(detections[:, 5] > 0):
        better = detections[kept]
        better = better[better[:, 4] == detections[i, 4], :4]
        if not (iou(detections[[i], :4], better, np.zeros(len(better), bool)) >= REPEATED).any():
            kept.append(int(i))
    return detections[kept]


def iou(a: np.ndarray, b: np.ndarray, crowds: np.ndarray) -> np.ndarray:
    """Return the IoU (A, B) of boxes (A, 4) and (B, 4); for crowds, bool (B,), the share of `a` inside `b`."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    common = np.clip(sides, 0, None).prod(axis=-1)
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (a, b))
    whole = np.where(crowds, area_a[:, None], area_a[:, None] + area_b - common)
    return common / np.maximum(whole, 1e-12)


def match(detections: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match detections (N, D, 6) with objects (N, M, 6) of their class, the best first, at each of `IOUS`."""
    # Returns bool (N, D, 10) twice: hits, and those that do not count: matched with an ignored object, or none.
    hits = np.zeros((*detections.shape[:2], len(IOUS)), bool)
    uncounted = np.repeat(detections[..., 5:] == 0, len(IOUS), axis=2)
    for image, (found, objects) in enumerate(zip(detections, truth, strict=True)):
        for label in np.unique(objects[objects[:, 4] >= 0, 4]):
            of_class = objects[objects[:, 4] == label]
            of_class = of_class[np.argsort(of_class[:, 5], kind="stable")]  # ignored ones last
            ignored = of_class[:, 5] > 0
            rows = np.flatnonzero((found[:, 4] == label) & (found[:, 5] > 0))
            overlap = iou(found[rows, :4], of_class[:, :4], ignored)
            for i, threshold in enumerate(IOUS):
                taken = np.zeros(len(of_class), bool)
                for row, values in zip(rows, overlap, strict=True):
                    chosen = _choose(values, taken, ignored, min(threshold, 1 - 1e-10))
                    if chosen is not None:
                        taken[chosen] = True
                        (uncounted if ignored[chosen] else hits)[image, row, i] = True
    return hits, uncounted


def _choose(values: np.ndarray, taken: np.ndarray, ignored: np.ndarray, threshold: float) -> int | None:
    """Return the free object that overlaps most, an ignored one only if there is no other."""
    for group in (~ignored & ~taken, ignored):
        candidates = np.flatnonzero(group & (values >= threshold))
        if len(candidates):
            top = values[candidates]
            return int(candidates[len(top) - 1 - np.argmax(top[::-1])])  # of equal ones the last, as pycocotools
    return None


def scores(
    detections: np.ndarray, hits: np.ndarray, uncounted: np.ndarray, truth: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Return the metrics of the detections of all images.

    Returns:
        `mean_average_precision`, the mean over the IoU from 0.5 to 0.95 and over the classes that have objects;
        `average_precision_50` and `average_precision_75` at an IoU of 0.5 and 0.75; `average_recall`, of at most
        `MOST` detections an image; and `per_class` with `average_precision` (None without objects) and `objects`.
    """
    precision = np.full((len(names), len(IOUS)), np.nan)
    recall = np.full_like(precision, np.nan)
    real = (truth[..., 4] >= 0) & (truth[..., 5] == 0)
    objects = np.bincount(truth[..., 4][real].astype(int), minlength=len(names))
    for label in np.flatnonzero(objects):
        chosen = (detections[..., 4] == label) & (detections[..., 5] > 0)
        order = np.argsort(-detections[..., 5][chosen], kind="stable")
        of_class = hits[chosen][order], uncounted[chosen][order]
        for i in range(len(IOUS)):
            counted = ~of_class[1][:, i]
            precision[label, i], recall[label, i] = _average(of_class[0][counted, i], int(objects[label]))
    means = precision[objects > 0].mean(axis=0) if objects.any() else np.zeros(len(IOUS))
    per_class = {
        name: {"average_precision": float(precision[i].mean()) if objects[i] else None, "objects": int(objects[i])}
        for i, name in enumerate(names)
    }
    return {
        "mean_average_precision": float(means.mean()),
        "average_precision_50": float(means[0]),
        "average_precision_75": float(means[5]),
        "average_recall": float(recall[objects > 0].mean()) if objects.any() else 0.0,
        "per_class": per_class,
    }


def _average(hits: np.ndarray, objects: int) -> tuple[float, float]:
    """Return the average precision of hits bool (D,), sorted by score, at 101 recalls, and the recall of all."""
    if not len(hits):
        return 0.0, 0.0
    found = np.cumsum(hits)
    recall, precision = found / objects, found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(hits), envelope[np.minimum(at, len(hits) - 1)], 0).mean()), float(recall[-1])
