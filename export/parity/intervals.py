"""Confidence intervals of metrics: the delete-a-group jackknife, and shares and areas near one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PARTS = 40  # into which independent examples, or more groups than this, are divided
BLOCKS = 10  # of neighbouring examples: more of them would be shorter than the dependence
FEW = 10  # groups or examples, below which intervals of skewed numbers cover less than 93 %
Z = 1.959964  # 97.5 % quantile of the normal distribution
# metrics for which lower is better
ERRORS = ("loss", "error", "bits", "perplexity", "mse", "mae", "mase", "rmse", "distance")


@dataclass(frozen=True)
class Jackknife:
    """Standard errors of statistics and their degrees of freedom, both of the shape of the statistic."""

    error: np.ndarray  # NaN for fewer than two parts, or if the statistic has no value for one
    freedom: np.ndarray  # few for a statistic that depends on few examples, such as ten positives of a thousand

    @property
    def quantile(self) -> np.ndarray:
        """The 97.5 % quantile of Student's t."""
        from scipy import special  # here, because `export verify` needs no statistics

        return special.stdtrit(self.freedom, 0.975)

    @property
    def margin(self) -> np.ndarray:
        """Half the width of the 95 % confidence interval."""
        return self.quantile * self.error


def jackknife(
    statistic: Callable[[np.ndarray], np.ndarray | float],
    count: int,
    *,
    groups: np.ndarray | None = None,
    blocks: bool = False,
) -> Jackknife:
    """Return the standard error of a statistic, by the delete-a-group jackknife.

    References: Efron, Stein 1981, doi:10.1214/aos/1176345462; blocks of neighbours Kuensch 1989,
    doi:10.1214/aos/1176347265; degrees of freedom Satterthwaite 1946, doi:10.2307/3002019.

    Args:
        statistic: Which examples are kept, bool (count,) -> a number, or an array of numbers.
        count: Number of examples.
        groups: What the examples (count,) have in common, such as the patient, if these depend on each other: whole
            groups are left out, or parts of whole groups if there are more than 40.
        blocks: Whether examples depend on their neighbours: ten blocks of them are left out, one after the other.

    Example:
        >>> answers = np.arange(1000) % 5 == 0  # a fifth is right
        >>> round(float(jackknife(lambda kept: answers[kept].mean(), 1000).margin), 2)
        0.03
    """
    part = parts_of(count, groups, blocks)
    parts = int(part.max()) + 1
    if parts < 2:
        return Jackknife(*(np.full(np.shape(statistic(np.ones(count, bool))), np.nan) for _ in range(2)))
    values = np.array([statistic(part != p) for p in range(parts)], float)
    squares = (values - values.mean(axis=0)) ** 2
    spread = np.sum((squares - squares.mean(axis=0)) ** 2, axis=0) * parts / (parts - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(spread > 0, 2 * squares.sum(axis=0) ** 2 / spread, parts - 1)
    error = np.sqrt((parts - 1) / parts * squares.sum(axis=0))
    if groups is not None and parts < FEW:  # few groups may be alike by chance
        error = np.maximum(error, jackknife(statistic, count).error)
    return Jackknife(error, np.clip(freedom, 1, parts - 1))


def parts_of(count: int, groups: np.ndarray | None, blocks: bool) -> np.ndarray:
    """Return the part of each example, int (count,): at random, by whole groups, or as blocks of neighbours."""
    random = np.random.default_rng(0)
    if groups is None:
        if blocks:
            return np.arange(count) * min(BLOCKS, count) // count
        return random.permutation(count) % min(PARTS, count)
    names, group = np.unique(groups, return_inverse=True)
    return random.permutation(len(names))[group] % min(PARTS, len(names))


def share_interval(value: float, size: float, quantile: float = Z) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many independent examples (Wilson 1927, doi:10.2307/2276774).

    For other metrics in [0, 1] the size is that which gives their standard error, and the quantile is Student's.

    Example:
        >>> [round(end, 3) for end in share_interval(0.995, 1000)]
        [0.988, 0.998]
    """
    square = quantile**2 / size
    centre, margin = value + square / 2, quantile * np.sqrt(value * (1 - value) / size + square / (4 * size))
    return max(float((centre - margin) / (1 + square)), 0.0), min(float((centre + margin) / (1 + square)), 1.0)


def area_interval(value: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve, method 5 of Newcombe 2006, doi:10.1002/sim.2324."""
    areas = np.linspace(0, 1, 10_001)
    larger = ((positives + negatives) / 2 - 1) * ((1 - areas) / (2 - areas) + areas / (1 + areas))
    variance = areas * (1 - areas) * (1 + larger) / (positives * negatives)
    inside = areas[np.abs(areas - value) <= Z * np.sqrt(variance) + 1e-12]
    return min(value, float(inside.min(initial=value))), max(value, float(inside.max(initial=value)))


def describe(count: int, groups: np.ndarray | None, blocks: bool, what: str = "") -> str:
    """Return what intervals leave out, and where they may cover less than 95 %, as a sentence; "" for neither."""
    if groups is None and blocks:
        return f"The intervals leave out {BLOCKS} blocks of neighbouring examples."
    number = count if groups is None else len(np.unique(groups))
    of = f"{number:,} {'examples' if groups is None else f'groups ({what})' if what else 'groups'}"
    few = f"{of} are few: the intervals may cover less than 95 %" if number < FEW else ""
    if groups is None:
        return f"{few}." if few else ""
    if number < 2:
        return "All examples are of one group: there are no intervals."
    near_one = "; those of shares near 1 may cover less than 95 %" if number < PARTS else ""
    return f"The intervals leave out whole groups: {few or of + near_one}."


def lower_is_better(name: str) -> bool:
    """Whether a lower value of a metric is better, by the words in its name."""
    return any(part in name.lower() for part in ERRORS)
