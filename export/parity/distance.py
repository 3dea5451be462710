"""Distance between two arrays. NumPy only.

A difference is measured in units of its row: divided by the largest value of that row in the reference, or by one where
that is smaller. So an error in an ordinary row is not hidden by an extreme one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def is_real(array: np.ndarray) -> bool:
    """Return whether an array holds floating-point numbers; all other arrays are compared exactly."""
    return np.issubdtype(array.dtype, np.floating)


def row_errors(reference: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the largest difference of each row in units of that row, (rows,) float64; inf where only one is finite."""
    a, b = (np.atleast_1d(x).astype(np.float64) for x in (reference, value))
    if a.size == 0:
        return np.zeros(len(a))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    finite = np.isfinite(a)
    scale = np.maximum(1.0, np.max(np.abs(a), axis=1, where=finite, initial=0.0))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.max(np.where(np.isnan(difference), np.inf, difference), axis=1) / scale


def max_row_error(reference: np.ndarray, value: np.ndarray) -> float:
    """Return the largest row error; infinite if the shapes differ, or if non-floating-point arrays are not equal."""
    if reference.shape != value.shape:
        return float("inf")
    if not is_real(reference):
        return 0.0 if np.array_equal(reference, value) else float("inf")
    return float(np.max(row_errors(reference, value), initial=0.0))


def root_mean_squares(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Return the root mean square of the reference and of the difference, over values that are finite in both."""
    count, signal, error = 0, 0.0, 0.0
    for reference, value in pairs:
        a, b = reference.astype(np.float64).ravel(), value.astype(np.float64).ravel()
        finite = np.isfinite(a) & np.isfinite(b)
        signal += float(np.sum(a[finite] ** 2))
        error += float(np.sum((a[finite] - b[finite]) ** 2))
        count += int(np.sum(finite))
    return (signal / max(count, 1)) ** 0.5, (error / max(count, 1)) ** 0.5


def top1(reference: np.ndarray, value: np.ndarray, tolerance: float) -> tuple[int, int]:
    """Return how many rows (..., classes) agree on the largest value, and how many are no ties (2 * tolerance)."""
    classes = reference.shape[-1]
    a, b = (x.reshape(-1, classes).astype(np.float64) for x in (reference, value))
    leading = np.sort(a, axis=1)[:, -2:]
    margin = 2 * tolerance * np.maximum(1.0, np.max(np.abs(a), axis=1, initial=0.0))
    untied = leading[:, 1] - leading[:, 0] > margin
    return int(np.sum((np.argmax(a, 1) == np.argmax(b, 1)) & untied)), int(np.sum(untied))


def is_leading(scores: np.ndarray, ids: np.ndarray, tolerance: float | np.ndarray) -> np.ndarray:
    """Return bool (rows, ...): is the score of a class id the largest of (rows, ..., classes), or tied with it?"""
    values = scores.astype(np.float64)
    scale = np.maximum(1.0, np.abs(values).reshape(len(values), -1).max(axis=1, initial=0.0))
    margin = (2 * tolerance * scale).reshape(-1, *[1] * (ids.ndim - 1))
    legal = (ids >= 0) & (ids < scores.shape[-1])
    own = np.take_along_axis(values, np.where(legal, ids, 0)[..., None].astype(np.int64), axis=-1)[..., 0]
    return legal & (own >= values.max(axis=-1) - margin)


def sqnr_db(signal: float, error: float) -> float | None:
    """Return a signal-to-noise ratio in dB, from root mean squares; None if either is zero."""
    return round(20 * np.log10(signal / error), 1) if error and signal else None


def count_top1(pairs: Sequence[tuple[np.ndarray, np.ndarray]], tolerance: float) -> tuple[int, int] | None:
    """Return how many rows agree on the class, and how many are no ties; None if the last axis holds no classes."""
    if not all(a.ndim >= 2 and a.shape[-1] > 1 for a, _ in pairs):
        return None
    counts = [top1(a, b, tolerance) for a, b in pairs]
    return sum(agree for agree, _ in counts), sum(untied for _, untied in counts)


def image_figures(pairs: Sequence[tuple[np.ndarray, np.ndarray]], peak: float) -> dict[str, Mapping[str, float | None]]:
    """Return {"HxW": {"psnr_db", "max_difference"}} of images (N, H, W, C); the PSNR of equal ones is None."""
    figures = {}
    for size in dict.fromkeys(a.shape[1:3] for a, _ in pairs if a.size):
        same_size = [(a, b) for a, b in pairs if a.shape[1:3] == size]
        _, error = root_mean_squares(same_size)
        figures["{}x{}".format(*size)] = {
            "psnr_db": round(float(20 * np.log10(peak / error)), 1) if error else None,
            "max_difference": max(
                float(np.nanmax(np.abs(a.astype(np.float64) - b), initial=0.0)) for a, b in same_size
            ),
        }
    return figures


def difference_figures(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], tolerance: float, classes: bool, peak: float | None = None
) -> dict[str, Any]:
    """Return the figures of one output, of (reference, value) pairs of equal shapes, for the certificate."""
    signal, error = root_mean_squares(pairs)
    max_abs = max((float(np.max(np.abs(a - b), initial=0.0, where=np.isfinite(a) & np.isfinite(b))) for a, b in pairs))
    figures = {"max_abs": max_abs, "rmse": error, "sqnr_db": sqnr_db(signal, error)}
    if peak and all(a.ndim == 4 for a, _ in pairs):
        figures["images"] = image_figures(pairs, peak)
    if classes and (counts := count_top1(pairs, tolerance)):
        figures["top1"] = "{}/{}".format(*counts)
    return figures
