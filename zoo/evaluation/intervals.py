"""Confidence intervals of metrics on a split, and paired comparisons with baselines."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from export.parity.intervals import jackknife_margin, lower_is_better
from zoo.core.capabilities import ScoresExamples
from zoo.core.task import BaseTask, SplitEvaluation, first_metrics

PREDICTED = "predicted"  # the one output of a baseline that gives classes (N,) without probabilities
SIGNED = ("r2", "spearman")  # metrics that may be negative
BETTER, NO_GAIN, WORSE = "better", "no gain", "worse"


def with_intervals(task: BaseTask, evaluation: SplitEvaluation) -> SplitEvaluation:
    """Return an evaluation with the intervals of its metrics, and with its baselines compared.

    Returns:
        The evaluation with these metrics: `intervals`, {metric: [low, high]}, of 95 %, of those that `metrics` returns;
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
    per_example = task.per_example if isinstance(task, ScoresExamples) else lambda outputs, _: outputs
    rows = {
        row: outputs if row and set(outputs) == {PREDICTED} else per_example(outputs, truth)
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

    margins = jackknife_margin(statistic, count, blocks=task.sequential)
    intervals = {
        name: _interval(name, value, margin, count)
        for (name, value), margin in zip(own.items(), margins, strict=False)
        if np.isfinite(margin)
    }
    gains = {
        row: _gain(headline, sign * (own[headline] - whole[row][headline]), margin, count)
        for row, margin in zip(paired, margins[len(own) :], strict=True)
    }
    metrics = {**evaluation.metrics, "intervals": intervals}
    if whole:
        metrics["compared"] = {"this model": own} | whole | dict(metrics.get("compared", {}))
    if gains:
        metrics["gains"] = gains
    return dataclasses.replace(evaluation, metrics=metrics)


def _interval(name: str, value: float, margin: float, count: int) -> list[float]:
    if margin == 0 and value in (0, 1):  # a share of N: the rule of three, Hanley and Lippman-Hand 1983
        margin = 3 / count
    low, high = float(value - margin), float(value + margin)
    if lower_is_better(name):
        return [max(low, 0.0), high]
    low = max(low, 0.0) if 0 <= value <= 1 and not name.startswith(SIGNED) else low
    return [low, min(high, 1.0) if value <= 1 else high]  # shares, areas and coefficients are at most 1


def _gain(metric: str, gain: float, margin: float, count: int) -> dict[str, Any]:
    margin = max(margin, 3 / count) if gain == 0 else margin
    low, high = float(gain - margin), float(gain + margin)
    verdict = BETTER if low > 0 else WORSE if high < 0 else NO_GAIN
    return {"metric": metric, "gain": float(gain), "low": low, "high": high, "verdict": verdict}
