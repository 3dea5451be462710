"""python -m benchmarks.intervals: how often a 95 % interval has the true value in it, by simulation.

Each row is one metric, size and dependence; 2,000 samples of it are drawn from a distribution whose true value is
known. "before" is the interval of earlier commits: 40 parts in rotation (blocks of neighbours for sequences), 2.02
standard errors of any number of examples, and symmetric ends. The table is written into docs/concepts/intervals.md.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from scipy.stats import norm

from benchmarks.benchmark import HERE, with_block
from export.parity.intervals import BLOCKS, jackknife, lower_is_better
from zoo.evaluation.intervals import interval
from zoobase import console as shell
from zoobase.console import Console
from zoobase.files import write_atomic

PAGE = HERE.parent / "docs" / "concepts" / "intervals.md"
MARKS = "<!-- simulated: python -m benchmarks.intervals -->", "<!-- /simulated -->"
CORRELATION = 0.2  # of two examples of a group
LEAST, MOST = 0.93, 0.97

Random = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """Examples drawn from a distribution."""

    statistic: Callable[[np.ndarray], float]  # which are kept -> the metric
    count: int
    groups: np.ndarray | None = None
    positives: int = 0
    blocks: bool = False


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    metric: str
    size: str
    dependence: str
    true: float
    draw: Callable[[Random], Sample]
    counts: bool = False  # whether the metric is a share of independent examples


def now(case: Case, sample: Sample) -> tuple[float, float]:
    """Return the ends of the interval as `zoo.evaluation.intervals` has them."""
    value = float(sample.statistic(np.ones(sample.count, bool)))
    result = jackknife(sample.statistic, sample.count, groups=sample.groups, blocks=sample.blocks)
    if case.metric.startswith("gain"):
        margin = float(result.margin) if value or result.error else 3 / sample.count
        return value - margin, value + margin
    independent = sample.positives or sample.count
    if sample.groups is not None or sample.blocks:
        independent = BLOCKS if sample.blocks else len(np.unique(sample.groups))
    size = (sample.count, independent, case.counts, sample.positives)
    low, high = interval(case.metric, value, float(result.error), float(result.quantile), *size)
    return low, high


def before(case: Case, sample: Sample) -> tuple[float, float]:
    """Return the ends of the interval of earlier commits."""
    value, count = float(sample.statistic(np.ones(sample.count, bool))), sample.count
    parts = min(40, count)
    part = np.arange(count) * parts // count if sample.blocks else np.arange(count) % parts
    values = np.array([sample.statistic(part != p) for p in range(parts)])
    margin = 2.02 * np.sqrt((parts - 1) / parts * np.sum((values - values.mean()) ** 2))
    if margin == 0 and (value == 0 or (value == 1 and not lower_is_better(case.metric))):
        margin = 3 / count
    return value - margin, value + margin


# === Distributions ===


def shares(true: float, count: int) -> Callable[[Random], Sample]:
    """Return independent right and wrong answers."""

    def draw(random: Random) -> Sample:
        right = random.random(count) < true
        return Sample(lambda kept: right[kept].mean(), count)

    return draw


def in_rotation(count: int) -> Callable[[Random], Sample]:
    """Return answers for ten classes in rotation, of which some are harder."""
    chances = np.resize(np.linspace(0.55, 1.0, 10), count)

    def draw(random: Random) -> Sample:
        right = random.random(count) < chances
        return Sample(lambda kept: right[kept].mean(), count)

    return draw


def grouped(sizes: np.ndarray, values: Callable[[Random, np.ndarray], np.ndarray]) -> Callable[[Random], Sample]:
    """Return the mean of values that depend on the group of an example."""
    group = np.repeat(np.arange(len(sizes)), sizes)

    def draw(random: Random) -> Sample:
        drawn = values(random, group)
        return Sample(lambda kept: drawn[kept].mean(), len(group), group)

    return draw


def beta_binomial(true: float) -> Callable[[Random, np.ndarray], np.ndarray]:
    """Return answers with a chance for each group."""
    weight = (1 - CORRELATION) / CORRELATION

    def values(random: Random, group: np.ndarray) -> np.ndarray:
        chances = random.beta(true * weight, (1 - true) * weight, group.max() + 1)
        return random.random(len(group)) < chances[group]

    return values


def errors(random: Random, group: np.ndarray) -> np.ndarray:
    """Return absolute errors whose size depends on the group, with a mean of one."""
    return random.gamma(4, 1 / 4, group.max() + 1)[group] * np.abs(random.normal(size=len(group))) / np.sqrt(2 / np.pi)


def flips(wrong: float, right: float) -> Callable[[Random, np.ndarray], np.ndarray]:
    """Return differences of answers: these shares of them become wrong, and right."""

    def values(random: Random, group: np.ndarray) -> np.ndarray:
        drawn = random.random(len(group))
        return np.where(drawn < wrong, 1.0, np.where(drawn < wrong + right, -1.0, 0.0))

    return values


def independent(count: int, values: Callable[[Random, np.ndarray], np.ndarray]) -> Callable[[Random], Sample]:
    """Return the mean of independent values."""

    def draw(random: Random) -> Sample:
        drawn = values(random, np.arange(count))
        return Sample(lambda kept: drawn[kept].mean(), count)

    return draw


def scores(
    metric: Callable, positives: int, count: int, distance: float, deviation: float = 1.0
) -> Callable[[Random], Sample]:
    """Return a metric of normal scores; those of positives are `distance` larger, with another deviation."""

    def draw(random: Random) -> Sample:
        truth = random.random(count) < positives / count
        truth[:2] = True, False
        score = random.normal(size=count) * np.where(truth, deviation, 1) + distance * truth
        return Sample(lambda kept: metric(truth[kept], score[kept]), count, positives=int(truth.sum()))

    return draw


def sequence(count: int, correlation: float) -> Callable[[Random], Sample]:
    """Return errors in the order of time: |1 + noise|, whose noise depends on the one before."""
    from scipy.signal import lfilter

    def draw(random: Random) -> Sample:
        noise = lfilter([1], [1, -correlation], random.normal(size=count + 500))[500:] * np.sqrt(1 - correlation**2)
        return Sample(lambda kept: 3 + noise[kept].mean(), count, blocks=True)

    return draw


def area(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve."""
    negatives = np.sort(score[~truth])
    return float(np.searchsorted(negatives, score[truth]).mean() / len(negatives)) if truth.any() else np.nan


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the area under precision against recall."""
    hits = truth[np.argsort(-score)]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()) if hits.any() else np.nan


def recall(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the share of positives with a score above one."""
    return float((score[truth] > 1).mean()) if truth.any() else np.nan


def f1(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the F1 score of positives with a score above one."""
    found = score > 1
    return 2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1)


def cases() -> Iterator[Case]:
    """Yield the rows."""
    for true, count in ((0.9, 30), (0.9, 100), (0.9, 1000), (0.99, 100), (0.995, 1000)):
        yield Case("accuracy", f"{true:g} of {count:,}", "independent", true, shares(true, count), counts=True)
    rotation = in_rotation(1000)
    yield Case("accuracy", "0.775 of 1,000", "classes in rotation", 0.775, rotation, counts=True)
    random = np.random.default_rng(5)
    for number, size, unequal in ((5, 25, 0), (12, 25, 0), (20, 50, 0), (40, 25, 0), (40, 25, 1), (300, 5, 1)):
        sizes = np.maximum(1, random.geometric(1 / size, number)) if unequal else np.full(number, size)
        what = f"{number} groups of {'about ' * unequal}{size}"
        for true in (0.8, 0.95):
            yield Case("accuracy", f"{true:g}", what, true, grouped(sizes, beta_binomial(true)))
        yield Case("mae", "", what, 1.0, grouped(sizes, errors))
    exponential = lambda random, group: random.exponential(size=len(group))  # noqa: E731
    for count in (3, 10, 30, 100, 1000):
        normal = lambda random, group: 5 + random.normal(size=len(group))  # noqa: E731
        yield Case("mae", f"normal, {count:,}", "independent", 5.0, independent(count, normal))
        yield Case("loss", f"exponential, {count:,}", "independent", 1.0, independent(count, exponential))
    for positives, count in ((5, 200), (10, 200), (10, 1000), (50, 500)):
        for distance, deviation in ((0.7, 1.0), (1.8, 1.0), (2.8, 1.0), (2.2, 1.5), (1.4, 0.6)):
            true = float(norm.cdf(distance / np.sqrt(1 + deviation**2)))
            what = f"{true:.2f}, {positives} of {count:,} positive"
            how = "independent" if deviation == 1 else f"independent, deviation of positives {deviation:g}"
            yield Case("auc", what, how, true, scores(area, positives, count, distance, deviation))
    for name, metric in (("average_precision", average_precision), ("recall", recall), ("f1", f1)):
        for positives, count in ((10, 200), (50, 500)):
            draw = scores(metric, positives, count, 1.8)
            drawn = [draw(random) for _ in range(20_000)]
            true = float(np.mean([one.statistic(np.ones(count, bool)) for one in drawn]))
            yield Case(name, f"{true:.2f}, {positives} of {count:,} positive", "independent", true, draw)
    for correlation in (0.5, 0.9, 0.97):
        what = f"neighbours, correlation {correlation:g}"
        yield Case("mae", "2,000", what, 3.0, sequence(2000, correlation))
    for wrong, right, count in ((0.002, 0.001, 1000), (0.005, 0.002, 1000), (0.02, 0.01, 1000), (0.002, 0.001, 10_000)):
        what = f"{wrong:.1%} worse, {right:.1%} better of {count:,}"
        yield Case("gain", what, "independent pairs", wrong - right, independent(count, flips(wrong, right)))
    differences = lambda random, group: random.normal(size=12)[group] + random.normal(size=len(group))  # noqa: E731
    yield Case("gain", "", "12 groups of 25, pairs", 0.0, grouped(np.full(12, 25), differences))


def coverage(case: Case, samples: int) -> dict[str, Any]:
    """Return the row of a case: the coverage and the mean width of both intervals."""
    random, row = np.random.default_rng(0), {}
    drawn = [case.draw(random) for _ in range(samples)]
    for name, rule in (("before", before), ("now", now)):
        ends = np.array([rule(case, sample) for sample in drawn])
        covered = (ends[:, 0] <= case.true) & (case.true <= ends[:, 1])
        row |= {name: float(covered.mean()), f"width {name}": float(np.mean(ends[:, 1] - ends[:, 0]))}
    return {"metric": case.metric, "size": case.size, "dependence": case.dependence, **row}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table in Markdown; coverage below 0.93 or above 0.97 is bold."""
    lines = ["| metric | value and size | examples | coverage before | coverage now | width before | width now |"]
    lines.append("|---|---|---|---:|---:|---:|---:|")
    for row in rows:
        cells = [row["metric"], row["size"], row["dependence"]]
        for name in ("before", "now"):
            cells.append(f"{row[name]:.3f}" if LEAST <= row[name] <= MOST else f"**{row[name]:.3f}**")
        cells += [f"{row['width before']:.3g}", f"{row['width now']:.3g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command("intervals")
@click.option("--samples", default=2000, show_default=True, help="Samples of each row.")
@shell.common_options
def main(samples: int, console: Console) -> None:
    """Simulate the coverage of the intervals and write the table into the page about them."""
    rows = []
    for case in cases():
        rows.append(coverage(case, samples))
        console.print(json.dumps(rows[-1]))
    write_atomic(PAGE, with_block(PAGE.read_text(encoding="utf-8"), MARKS, table(rows)))
    console.result(rows)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.intervals")
