"""Confidence intervals of metrics, by the delete-a-group jackknife."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GROUPS = 40  # groups of the jackknife
STUDENT = 2.02  # 97.5 % quantile of Student's t with 39 degrees of freedom
ERRORS = (
    "loss",
    "error",
    "bits",
    "perplexity",
    "mse",
    "mae",
    "mase",
    "rmse",
    "distance",
)  # metrics for which lower is better


def jackknife_margin(
    statistic: Callable[[np.ndarray], np.ndarray | float], count: int, *, blocks: bool = False
) -> np.ndarray:
    """Return half the width of the 95 % confidence interval of a statistic, by the delete-a-group jackknife.

    Reference: Efron, Stein 1981, doi:10.1214/aos/1176345462; for dependent examples Kuensch 1989,
    doi:10.1214/aos/1176347265, who leaves out blocks.

    Args:
        statistic: Which examples are kept, bool (count,) -> a number, or an array of numbers.
        count: Number of examples.
        blocks: Whether examples of a group are neighbours, for examples that depend on their neighbours; else every
            40th example is of one group, so that data sorted by class leaves no class out.

    Example:
        >>> answers = np.arange(1000) % 5 == 0  # a fifth is right
        >>> round(float(jackknife_margin(lambda kept: answers[kept].mean(), 1000, blocks=True)), 3)
        0.0
    """
    groups = min(GROUPS, count)
    group = np.arange(count) * groups // count if blocks else np.arange(count) % groups
    if groups < 2:
        return np.full(np.shape(statistic(np.ones(count, bool))), np.nan)
    values = np.array([statistic(group != g) for g in range(groups)])
    return STUDENT * np.sqrt((groups - 1) / groups * np.sum((values - values.mean(axis=0)) ** 2, axis=0))


def lower_is_better(name: str) -> bool:
    """Whether a lower value of a metric is better, by the words in its name."""
    return any(part in name.lower() for part in ERRORS)
