"""Whether a window of requests differs from the training rows, with a bound on the rate of false alarms.

Each test has a p-value; a window is an alarm if the smallest one, times the number of tests (Bonferroni), is below the
rate, and the difference is not a small one. The tests allow for the training rows being a sample; as all windows are
compared with the same sample, which may be an unusual one, their rate is twice as strict (benchmarks/watch.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from export.contract.statistics import TAILS, Statistics

SMALL_DISTANCE = 0.1  # of two distribution functions, and a usual limit of the population stability index
BINS = 10  # of a population stability index
TAIL = 0.01  # the share of training rows in the tail
STRICTNESS = 2  # of the rate
SMALL_SHARE = 0.02  # of rows of a window that are beyond the training rows


@dataclass(frozen=True)
class Difference:
    """A difference between a window and the training rows.

    Attributes:
        feature: The feature, or input.
        test: "distribution", "new categories", "tail", "missing" or "range".
        p_value: Corrected for the number of tests.
        size: The distance of the distributions (Kolmogorov-Smirnov; of categories the stability index), or a share.
        stability: The population stability index, or None.
        text: A sentence.
    """

    feature: str
    test: str
    p_value: float
    size: float
    stability: float | None
    text: str


def differences(
    trained: Statistics, window: Mapping[str, np.ndarray], outside: Mapping[str, tuple[int, int]], rate: float
) -> list[Difference]:
    """Return the significant differences, the clearest first.

    Args:
        trained: The training rows.
        window: The features of the requests.
        outside: How many rows of each input are out of range, and of how many.
        rate: The largest rate of false alarms.
    """
    found = []
    for name, sample in trained.numbers.items():
        if (values := window.get(name, np.zeros(0))).size:
            present = values[np.isfinite(values)]
            found += _of_numbers(name, sample, present) if present.size else []
            count, before = len(values) - len(present), trained.missing.get(name, 0)
            text = f"{name}: {count} of {len(values)} values are missing"
            found.append(_excess(name, "missing", count, len(values), before, before + len(sample), text))
    for name, counts in trained.categories.items():
        if (values := window.get(name, np.zeros(0))).size:
            found += _of_categories(name, counts, values)
    for name, (count, rows) in outside.items():
        text = f"{name}: {count} of {rows} rows are outside the range of the contract"
        found.append(_excess(name, "range", count, rows, trained.outside.get(name, 0), trained.rows, text))
    tests = STRICTNESS * len(found)
    corrected = [Difference(d.feature, d.test, min(1.0, tests * d.p_value), *_rest(d)) for d in found]
    return sorted((d for d in corrected if d.p_value <= rate and d.size >= _least(d)), key=lambda d: d.p_value)


def _rest(difference: Difference) -> tuple[float, float | None, str]:
    return difference.size, difference.stability, difference.text


def _least(difference: Difference) -> float:
    return SMALL_DISTANCE if difference.test == "distribution" else SMALL_SHARE


def _of_numbers(name: str, sample: np.ndarray, values: np.ndarray) -> list[Difference]:
    test = stats.ks_2samp(sample, values, method="asymp")
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = (np.bincount(np.searchsorted(edges, v, "right"), minlength=len(edges) + 1) for v in (sample, values))
    index = stability(*shares)
    text = f"{name}: distributed other than in training (distance {test.statistic:.2f}, stability index {index:.2f})"
    found = [Difference(name, "distribution", float(test.pvalue), float(test.statistic), index, text)]
    if name.endswith(TAILS):
        rank = max(1, int(TAIL * len(sample)))
        count = int((values < sample[rank - 1]).sum())
        what = "unlike the training inputs" if name.endswith(".energy") else "blank, or almost"
        text = f"{name}: {count} of {len(values)} rows are {what} (less than the lowest {rank / len(sample):.0%})"
        found.append(_excess(name, "tail", count, len(values), rank - 1, len(sample), text))
    return found


def _of_categories(name: str, counts: Mapping[str, int], values: np.ndarray) -> list[Difference]:
    names = list(counts)
    seen = {value: int((values == value).sum()) for value in names}
    new = len(values) - sum(seen.values())
    table = np.array([[*counts.values()], [*seen.values()]], float)
    rare = table[0] < 5 * (1 + table[0].sum() / max(1.0, table[1].sum()))  # expected less than 5 in the window
    pooled = np.column_stack([table[:, ~rare], table[:, rare].sum(1)]) if rare.any() else table
    pooled = pooled[:, pooled.sum(0) > 0]
    p_value = 1.0
    if pooled.shape[1] > 1 and pooled[1].sum():
        p_value = float(stats.chi2_contingency(pooled).pvalue)
    index = stability(*pooled) if pooled[1].sum() else 0.0
    text = f"{name}: other shares of the categories than in training (stability index {index:.2f})"
    singles = sum(count == 1 for count in counts.values())  # about as many unseen as seen once (Good 1953)
    others = [str(value) for value in dict.fromkeys(values.tolist()) if value not in seen][:3]
    listed = f" ({', '.join(others)})" if others else ""
    beyond = f"{name}: {new} of {len(values)} rows have categories that the training did not have{listed}"
    return [
        Difference(name, "distribution", p_value, index, index, text),
        _excess(name, "new categories", new, len(values), singles, sum(counts.values()), beyond),
    ]


def _excess(name: str, test: str, count: int, rows: int, before: int, of: int, text: str) -> Difference:
    """Return the test of a share that was `before` of `of` in training.

    How many of `rows` more rows are below the order statistic of rank `before` + 1 of `of` rows is beta-binomial.
    """
    p_value = float(stats.betabinom.sf(count - 1, rows, before + 1, max(1, of - before)))
    return Difference(name, test, p_value, count / max(1, rows), None, text)


def stability(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the population stability index of two histograms.

    Example:
        >>> float(stability(np.array([50, 50]), np.array([50, 50])))
        0.0
        >>> round(stability(np.array([50, 50]), np.array([90, 10])), 2)
        0.86
    """
    shares = [(counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (expected, actual)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
