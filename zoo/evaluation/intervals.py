"""Confidence intervals of metrics on a split, and paired comparisons with baselines."""

import dataclasses
from typing import Any

import numpy as np

from export.parity.intervals import BLOCKS, area_interval, describe, jackknife, lower_is_better, share_interval
from pipelines.dataset import Info
from pipelines.splits import GROUP, kept_together
from zoo.core.capabilities import ScoresExamples
from zoo.core.task import BaseTask, SplitEvaluation, first_metrics

PREDICTED = "predicted"  # the one output of a baseline that gives classes (N,) without probabilities
SIGNED = ("r2", "spearman")  # metrics that may be negative
FEW_POSITIVES = 30  # below which the standard error of an area under the ROC curve is not known well
BETTER, NO_GAIN, WORSE = "better", "no gain", "worse"


def with_intervals(task: BaseTask, evaluation: SplitEvaluation) -> SplitEvaluation:
    """Return an evaluation with the intervals of its metrics, and with its baselines compared.

    Returns:
        The evaluation with these metrics: `intervals`, {metric: [low, high]}, of 95 %, of those that `metrics` returns;
        `dependence`, a sentence about what they leave out, of examples that are not independent;
        `compared`, {row: {metric: number}}, of which the first row is this model; and `gains`, {baseline: {"metric",
        "gain", "low", "high", "verdict"}}, how much better the model is by the first metric, with the 95 % interval of
        the paired difference. The verdict is "no gain" where the interval has 0 in it.
    """
    info, truth, count = evaluation.info, evaluation.truth, len(evaluation.truth)

    def scores(row: str, kept: Any = slice(None)) -> dict[str, float]:
        outputs = {name: values[kept] for name, values in rows[row].items()}
        if row and set(outputs) == {PREDICTED}:
            return {"accuracy": float(np.mean(outputs[PREDICTED] == truth[kept]))}
        return dict(first_metrics(task.metrics(outputs, truth[kept], info)))

    every = {"": evaluation.outputs, **evaluation.baselines}
    per_example = task.per_example if isinstance(task, ScoresExamples) else lambda outputs, *_: outputs
    rows = {
        row: outputs if row and set(outputs) == {PREDICTED} else per_example(outputs, truth, info)
        for row, outputs in every.items()
    }
    whole = {row: scores(row) for row in rows}
    own = whole.pop("")
    if count < 2 or not own:
        return evaluation
    headline, sign = next(iter(own)), -1.0 if lower_is_better(next(iter(own))) else 1.0
    paired = [row for row, metrics in whole.items() if headline in metrics]

    def statistic(kept: np.ndarray) -> np.ndarray:
        part = scores("", kept)
        values = [part.get(name, np.nan) for name in own]
        return np.array(values + [sign * (part[headline] - scores(row, kept)[headline]) for row in paired])

    groups, blocks = evaluation.groups, is_ordered(task, info)
    result = jackknife(statistic, count, groups=groups, blocks=blocks)
    rules = _rules(task, evaluation, blocks)
    own_ends = {
        name: interval(name, value, float(error), float(quantile), count, **rules)
        for (name, value), error, quantile in zip(own.items(), result.error, result.quantile, strict=False)
        if np.isfinite(error)
    }
    gains = {
        row: _gain(headline, sign * (own[headline] - whole[row][headline]), margin, count)
        for row, margin in zip(paired, result.margin[len(own) :], strict=True)
        if np.isfinite(margin)
    }
    metrics = {**evaluation.metrics, "intervals": own_ends}
    if sentence := describe(count, groups, blocks, info.features.get(GROUP, "")):
        metrics["dependence"] = sentence
    if whole:
        metrics["compared"] = {"this model": own} | whole | dict(metrics.get("compared", {}))
    if gains:
        metrics["gains"] = gains
    return dataclasses.replace(evaluation, metrics=metrics)


def is_ordered(task: BaseTask, info: Info) -> bool:
    """Whether examples are in the order of time, in which neighbours depend on each other."""
    return task.sequential or kept_together(info.split).startswith("time ")


def interval(
    name: str,
    value: float,
    error: float,
    quantile: float,
    count: int,
    independent: int,
    counts: bool = False,
    positives: int = 0,
) -> list[float]:
    """Return the 95 % interval of a metric; its coverage is simulated by `python -m benchmarks.intervals`."""
    # `independent` examples, groups or blocks are what a share of 0 or 1 is of, at least; `counts` says that accuracies
    # are shares of independent examples, of which an area under the ROC curve has so many `positives`.
    low, high = float(value - quantile * error), float(value + quantile * error)
    if lower_is_better(name):
        return [max(low, 0.0), high]
    if not 0 <= value <= 1 or name.startswith(SIGNED):
        return [low, min(high, 1.0) if value <= 1 else high]  # coefficients are at most 1
    if counts and name.endswith("accuracy"):
        return list(share_interval(value, count))
    if name == "auc" and 0 < positives < FEW_POSITIVES:
        return list(area_interval(value, positives, count - positives))
    if error <= 0 or value in (0, 1):
        return list(share_interval(value, independent, quantile))
    return list(share_interval(value, min(value * (1 - value) / error**2, count), quantile))


def _rules(task: BaseTask, evaluation: SplitEvaluation, blocks: bool) -> dict[str, Any]:
    """Return the arguments of `interval` that are the same for all metrics."""
    if evaluation.groups is not None or blocks:
        return {"independent": BLOCKS if evaluation.groups is None else len(np.unique(evaluation.groups))}
    if not task.counts_examples:
        return {"independent": len(evaluation.truth)}
    classes, counts = np.unique(evaluation.truth, return_counts=True)
    positives = int(counts.min())
    if positive := evaluation.metrics.get("positive_class"):
        positives = int(counts[classes == (evaluation.info.class_names or ()).index(positive)].sum())
    return {"independent": max(positives, 1), "counts": True, "positives": positives}


def _gain(metric: str, gain: float, margin: float, count: int) -> dict[str, Any]:
    margin = max(margin, 3 / count) if gain == 0 else margin
    low, high = float(gain - margin), float(gain + margin)
    verdict = BETTER if low > 0 else WORSE if high < 0 else NO_GAIN
    return {"metric": metric, "gain": float(gain), "low": low, "high": high, "verdict": verdict}
