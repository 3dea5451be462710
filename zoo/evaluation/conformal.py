"""Prediction sets and intervals with a stated coverage, by split conformal prediction.

Reference: Vovk, Gammerman, Shafer 2005, doi:10.1007/b106715; Sadinle, Lei, Wasserman 2019, arXiv:1609.00451 (sets of
classes); Angelopoulos, Bates 2021, arXiv:2107.07511.
"""

import math
from typing import Any

import numpy as np

from export.parity.intervals import Z, jackknife, parts_of, share_interval
from zoo.core.capabilities import Classifies, Regresses
from zoo.core.task import BaseTask, SplitEvaluation
from zoo.evaluation.intervals import is_ordered

LEVEL = 0.9


def threshold(scores: np.ndarray, level: float = LEVEL) -> float:
    """Return the score below which the truth of new data lies with this probability; infinite for too few examples."""
    # Scores are nonconformities (N,) of the truth for examples that were not trained on.
    rank = math.ceil((len(scores) + 1) * level)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def of_test(task: BaseTask, evaluation: SplitEvaluation) -> dict[str, Any] | None:
    """Return the coverage of sets or intervals whose bound one half of the test examples chooses, on the other half.

    Validation chose the epoch, the temperature and the candidate, which are a little too good for it: its bounds cover
    less than stated. The halves are random, of whole groups, or the earlier and the later one. None for a task
    without classes and numbers, and for too few examples or groups.
    """
    outputs, truth, groups = evaluation.outputs, evaluation.truth, evaluation.groups
    probabilities = task.probabilities(outputs) if isinstance(task, Classifies) else None
    residuals = task.residuals(outputs, truth) if isinstance(task, Regresses) else None
    is_in_order = is_ordered(task, evaluation.info)
    part = parts_of(len(truth), groups, is_in_order)
    first = 2 * part <= part.max(initial=0)
    groups = part if groups is None and is_in_order else groups  # blocks of neighbours
    groups = None if groups is None else groups[~first]
    if first.all() or (groups is not None and len(np.unique(groups)) < 2):
        return None
    if probabilities is not None:
        labels = truth.astype(int)
        return of_classes(probabilities[first], labels[first], probabilities[~first], labels[~first], groups)
    return None if residuals is None else of_numbers(residuals[first], residuals[~first], groups)


def of_classes(
    calibration: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Return coverage, its 95 % interval, and size of the sets of classes at least as probable as a bound."""
    # The bound is a probability (N, classes) of calibration, because 1 - (1 - p) may be more than p; measured on test.
    bound = max(-threshold(-calibration[np.arange(len(labels)), labels]), 0.0)
    sets = test >= bound
    covered = _coverage(sets[np.arange(len(truth)), truth], len(labels), groups)
    return {"level": LEVEL, "smallest_probability": bound, **covered, "set_size": float(sets.sum(axis=1).mean())}


def of_numbers(calibration: np.ndarray, test: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Any] | None:
    """Return margin and coverage of intervals around predicted numbers, of errors (N,); None for too few.

    Forecasts of several rows (N, rows) have `margins`, one for each row, and `margin` is their mean.
    """
    margins = np.array([threshold(column) for column in np.abs(calibration.reshape(len(calibration), -1)).T])
    if not np.isfinite(margins).all():
        return None
    covered = (np.abs(test.reshape(len(test), -1)) <= margins).mean(axis=1)
    facts = {"level": LEVEL, "margin": float(margins.mean()), **_coverage(covered, len(calibration), groups)}
    return facts if calibration.ndim == 1 else facts | {"margins": margins.tolist()}


def _coverage(covered: np.ndarray, calibrated: int, groups: np.ndarray | None) -> dict[str, Any]:
    """Return the coverage with its interval over other samples of `calibrated` examples, and of test."""
    share, count, quantile = float(covered.mean()), len(covered), Z
    if groups is not None:
        result = jackknife(lambda kept: covered[kept].mean(), count, groups=groups)
        count, quantile = len(np.unique(groups)), float(result.quantile)
        if result.error > 0:
            count = min(share * (1 - share) / float(result.error) ** 2, len(covered))
        calibrated = round(calibrated * count / len(covered))  # its examples depend on each other as these do
    # the coverage of a bound of N examples has the variance of a share of N + 2
    interval = share_interval(share, 1 / (1 / count + 1 / (calibrated + 2)), quantile)
    return {"coverage": share, "interval": list(interval)}


def describe(result: dict[str, Any]) -> str:
    """Return a result as a sentence."""
    low, high = result["interval"]
    held = f"chosen on half of the test examples, they have the truth for {result['coverage']:.1%} of the other half"
    held += f" ({low:.1%} to {high:.1%})"
    if "margin" in result:
        return f"Prediction intervals of {result['level']:.0%}: plus and minus {result['margin']:.4g}; {held}"
    return (
        f"Prediction sets of {result['level']:.0%}: the classes with a probability of at least "
        f"{result['smallest_probability']:.3g}, {result['set_size']:.2f} on average; {held}"
    )
