"""A detector without a network: windows of several sizes, histograms of gradients, and a linear classifier.

Reference: Dalal, Triggs 2005, doi:10.1109/CVPR.2005.177.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from zoo.detection.metrics import MOST, iou

if TYPE_CHECKING:
    from pipelines.feeding import Feed

IMAGES = 500  # training images from which it learns
SIDE, CELL, ORIENTATIONS = 32, 8, 9  # pixels to which a window is resized, and of a cell
SHAPES = 4  # sizes of windows, clusters of the true ones
NEGATIVES = 6  # windows of background for each image
OVERLAP = 0.3  # IoU with an object from which on a window is no background
SUPPRESSED = 0.3  # IoU with a better window of its class from which on one is left out
KEPT = 20  # windows of an image before that


def _gradients(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return histograms of gradients float32 (M, features) of the windows (M, 4) of an image uint8 (H, W, C)."""
    grey = np.ascontiguousarray(image.mean(axis=-1), np.float32)
    windows = np.stack([_window(grey, box) for box in np.rint(boxes).astype(int)])
    down, right = np.gradient(windows, axis=(1, 2))
    angle = np.arctan2(down, right) % np.pi
    orientation = np.minimum((angle / np.pi * ORIENTATIONS).astype(int), ORIENTATIONS - 1)
    cells = SIDE // CELL
    cell = np.arange(SIDE) // CELL
    place = (np.arange(len(windows))[:, None, None] * cells + cell[:, None]) * cells + cell
    counts = np.bincount(
        (place * ORIENTATIONS + orientation).ravel(),
        np.hypot(down, right).ravel(),
        len(windows) * cells**2 * ORIENTATIONS,
    )
    grid = counts.reshape(len(windows), cells, cells, ORIENTATIONS)
    corners = [grid[:, i : cells - 1 + i, j : cells - 1 + j] for i in (0, 1) for j in (0, 1)]
    blocks = np.concatenate(corners, axis=-1)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 1.0
    return blocks.reshape(len(windows), -1).astype(np.float32)


def _window(grey: np.ndarray, box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = box
    part = grey[max(top, 0) : max(bottom, top + 1), max(left, 0) : max(right, left + 1)]
    return cv2.resize(np.ascontiguousarray(part), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Windows:
    """The fitted detector."""

    model: Any  # scikit-learn's classifier of windows, whose class 0 is background; None if there was nothing to learn
    shapes: np.ndarray  # width and height of windows (S, 2)

    def detect(self, images: np.ndarray) -> np.ndarray:
        """Return the detections (N, `MOST`, 6), as of `zoo.detection.metrics.best`, of images uint8 (N, H, W, C)."""
        detections = np.zeros((len(images), MOST, 6), np.float32)
        windows = _grid(self.shapes, *images.shape[1:3])
        for image, rows in zip(images, detections, strict=True):
            if self.model is not None and len(windows):
                kept = self._detect(image, windows)
                rows[: len(kept)] = kept
        return detections

    def _detect(self, image: np.ndarray, windows: np.ndarray) -> np.ndarray:
        probabilities = self.model.predict_proba(_gradients(image, windows))
        objects = np.where(self.model.classes_ > 0, probabilities, 0)
        labels, scores = self.model.classes_[objects.argmax(axis=1)] - 1, objects.max(axis=1)
        order = [i for i in np.argsort(-scores, kind="stable")[: 5 * KEPT] if scores[i] > 0]
        kept: list[int] = []
        for i in order:
            same = [j for j in kept if labels[j] == labels[i]]
            if not same or iou(windows[[i]], windows[same], np.zeros(len(same), bool)).max() < SUPPRESSED:
                kept.append(i)
        kept = kept[:KEPT]
        return np.concatenate([windows[kept], labels[kept, None], scores[kept, None]], axis=1)


def _grid(shapes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return windows (W, 4) of these shapes, a third of their sides apart."""
    windows = []
    for w, h in shapes:
        for top in np.arange(0, max(height - h, 0) + 1, max(h / 3, 2)):
            for left in np.arange(0, max(width - w, 0) + 1, max(w / 3, 2)):
                windows.append((left, top, min(left + w, width), min(top + h, height)))
    return np.array(windows, np.float32).reshape(-1, 4)


def fit_windows(training: Feed) -> Windows:
    """Fit the detector to the first images of a feed: images (B, H, W, C), rows (B, M, 6)."""
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    batches = training.take(IMAGES).batches(100, augmented=False).as_numpy_iterator()
    pairs = [
        (image, rows[rows[:, 4] >= 0])
        for images, of_images in batches
        for image, rows in zip(images, of_images, strict=True)
    ]
    sizes = [np.rint(rows[:, 2:4] - rows[:, :2]) for _, rows in pairs]
    every = np.concatenate(sizes) if pairs else np.zeros((0, 2))
    if not len(every):
        return Windows(None, every)
    shapes = KMeans(min(SHAPES, len(np.unique(every, axis=0))), n_init=3, random_state=0).fit(every).cluster_centers_
    features, labels = [], []
    for image, rows in pairs:
        windows = random.permutation(_grid(shapes, *image.shape[:2]))[: 3 * NEGATIVES]
        empty = (iou(windows, rows[:, :4], np.zeros(len(rows), bool)) < OVERLAP).all(axis=1)
        windows = windows[empty][:NEGATIVES]
        boxes = np.concatenate([rows[:, :4], windows])
        if len(boxes):
            features.append(_gradients(image, boxes))
            labels += [*(rows[:, 4].astype(int) + 1), *[0] * len(windows)]
    if len(set(labels)) < 2:
        return Windows(None, shapes)
    return Windows(LogisticRegression(max_iter=100, tol=1e-3).fit(np.concatenate(features), labels), shapes)
