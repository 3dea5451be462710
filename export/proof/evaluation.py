"""What a user loses: a metric on real data, paired, quantised artifact against reference, with its 95 % interval."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint
from export.contract.artifact import Artifact
from export.errors import ExportError
from export.formats.tflite import QUANTIZE, check_calibration
from export.parity.golden import Case, write_golden
from export.proof.certificate import FAIL, PASS, Certificate, Row
from export.proof.prove import Subject, check_names
from export.runners.lib import protocol
from export.runtime.execution import run_all
from export.runtime.runtimes import RUNTIMES

GROUPS = 40  # of the jackknife
STUDENT = 2.02  # 97.5 % quantile of Student's t with 39 degrees of freedom
ERRORS = ("loss", "error", "bits", "perplexity", "mse", "mae", "rmse", "distance")  # metrics of which less is better
BATCH = 256

Metrics = Callable[[Mapping[str, np.ndarray], np.ndarray], Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """Real data with its truth.

    Attributes:
        inputs: Arrays (N, ...) by input name.
        truth: (N, ...).
        metrics: (outputs by name, truth) -> {metric: number, ...}; the first number is judged. None: accuracy for
            integer truth, mean squared error for the rest, of the first output.
        endpoint: What is evaluated.
    """

    inputs: Mapping[str, np.ndarray]
    truth: np.ndarray
    metrics: Metrics | None = None
    endpoint: str = "serving_default"


def judge_drop(
    folder: Path,
    contract: Contract,
    artifacts: Sequence[Artifact],
    rows: Sequence[Row],
    evaluation: Evaluation,
    max_drop: float,
) -> None:
    """Run the evaluation data through the quantised artifacts that passed so far; write the drop into their rows.

    A row fails unless the whole interval of the drop lies within the budget.
    """
    runtime, name = RUNTIMES["litert"], evaluation.endpoint
    states = {row.artifact: row for row in rows if row.runtime == runtime.name and row.state == PASS}
    left = [a for a in artifacts if a.quantize and name in a.endpoints and a.path in states]
    if not left:
        return
    endpoint = contract[name]
    metrics = evaluation.metrics or default_metrics(endpoint)
    reference = run_live(endpoint, evaluation.inputs)
    with tempfile.TemporaryDirectory(prefix="evaluation-") as scratch:
        golden = Path(scratch) / "golden"
        write_golden(
            golden,
            {e: [] for a in left for e in a.endpoints} | {name: [Case(name, dict(evaluation.inputs), judged=False)]},
        )
        runs = run_all(folder, contract, {runtime.name: (runtime, left)}, (), golden)
    for artifact in left:
        row, run = states[artifact.path], runs[runtime.name, artifact.path]
        values = {key.rpartition("/")[2]: value for key, value in run.arrays.get(name, {}).items()}
        if set(values) != set(reference):
            problem = (
                run.problem or run.report.get("error") or next(iter(run.errors.get(name, {}).values()), "no result")
            )
            row.state, row.reason = FAIL, f"evaluation: {problem}"
            continue
        found = paired_drop(metrics, reference, values, evaluation.truth)
        row.endpoints[name]["evaluation"] = found | {"max_drop": max_drop}
        if not found["high"] <= max_drop:
            row.state, row.reason = FAIL, f"{describe(found)}, which may be more than the budget of {max_drop:g}"


def paired_drop(
    metrics: Metrics, reference: Mapping[str, np.ndarray], value: Mapping[str, np.ndarray], truth: np.ndarray
) -> dict[str, Any]:
    """Return the drop of the first metric with its 95 % interval, by the delete-a-group jackknife.

    The drop is positive where the artifact is worse: a difference for scores, a part of the reference's figure for
    errors. Where nothing changed in any group the interval is three over N wide (Hanley and Lippman-Hand 1983).

    Returns:
        {"metric", "reference", "value", "drop", "low", "high", "examples"}.
    """

    def drop(keep: Any) -> tuple[str, float, float, float]:
        a, b = ({k: v[keep] for k, v in outputs.items()} for outputs in (reference, value))
        name, before = _first(metrics(a, truth[keep]))
        after = _first(metrics(b, truth[keep]))[1]
        lost = (after - before) / max(abs(before), 1e-12) if _less_is_better(name) else before - after
        return name, before, after, lost

    count = len(truth)
    name, before, after, whole = drop(slice(None))
    groups = min(GROUPS, count)
    member = np.arange(count) % groups
    left_out = np.array([drop(member != g)[3] for g in range(groups)]) if groups > 1 else np.full(2, np.nan)
    spread = STUDENT * float(np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2)))
    spread = max(spread, 3 / count) if whole == 0 and spread == 0 else spread
    return {
        "metric": name,
        "reference": before,
        "value": after,
        "drop": whole,
        "low": whole - spread,
        "high": whole + spread,
        "examples": count,
    }


def describe(found: Mapping[str, Any]) -> str:
    """Return a drop as a clause for people."""
    return (
        f"{found['metric']} {found['reference']:.4f} -> {found['value']:.4f}, drop {found['drop']:+.4f} "
        f"[{found['low']:+.4f}, {found['high']:+.4f}] on {found['examples']} examples"
    )


def _first(metrics: Mapping[str, Any]) -> tuple[str, float]:
    for name, value in metrics.items():
        if isinstance(value, (int, float, np.number)):
            return name, float(value)
    raise ExportError("the metrics of the evaluation hold no number")


def _less_is_better(name: str) -> bool:
    return any(part in name.lower() for part in ERRORS)


def default_metrics(endpoint: Endpoint) -> Metrics:
    """Return accuracy for integer truth, mean squared error for the rest, of the first output."""
    head = endpoint.outputs[0]

    def metrics(outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
        values = outputs[head.name]
        if truth.dtype.kind in "iub":
            single = values.shape[-1] == 1
            threshold = 0.0 if head.meaning == "logits" else 0.5
            named = (values[..., 0] > threshold).astype(int) if single else values.argmax(-1)
            return {"accuracy": float(np.mean(named.reshape(truth.shape) == truth))}
        return {"mean_squared_error": float(np.mean((values.reshape(truth.shape) - truth) ** 2))}

    return metrics


def run_live(endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the live model makes of all rows.

    In a graph, because an eager functional model holds the outputs of all its layers: 20 GB for 256 photographs.
    """
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    graph = tf.function(endpoint.call, reduce_retracing=True, autograph=False)

    def call(values: protocol.Arrays) -> protocol.Arrays:
        outputs = graph({k: tf.constant(v, dtypes[k]) for k, v in values.items()})
        return {k: tf.convert_to_tensor(v).numpy() for k, v in outputs.items()}

    size, rows = endpoint.batch or BATCH, len(next(iter(inputs.values())))
    parts = [call({k: v[i : i + size] for k, v in inputs.items()}) for i in range(0, rows, size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def read_evaluation(arrays: Mapping[str, np.ndarray], endpoint: Endpoint) -> Evaluation:
    """Return the evaluation in the arrays of a file: the inputs by name, and one array more, which is the truth.

    Raises:
        ExportError: If it is not that, or the arrays are not of one length.
    """
    names = [t.name for t in endpoint.inputs]
    rest = sorted(set(arrays) - set(names))
    if not set(names) <= set(arrays) or len(rest) != 1:
        raise ExportError(
            f"evaluation data holds {', '.join(sorted(arrays))}; it must hold {', '.join(names)} and one array of truth"
        )
    sizes = {name: len(value) for name, value in arrays.items()}
    if len(set(sizes.values())) != 1 or not min(sizes.values()):
        raise ExportError(f"evaluation data has arrays of different or no length: {sizes}")
    return Evaluation({name: arrays[name] for name in names}, arrays[rest[0]])


@dataclass(frozen=True)
class Quantisation:
    """Which precisions, what they are calibrated and judged with.

    Attributes:
        kinds: Of `QUANTIZE`.
        calibration: Real inputs by name, of the training data.
        evaluation: Real data with its truth, or None.
        max_drop: How much of the metric a file may lose.
    """

    kinds: tuple[str, ...] = ()
    calibration: Mapping[str, np.ndarray] | None = None
    evaluation: Evaluation | None = None
    max_drop: float = 0.01

    def check(self, contract: Contract) -> None:
        """Raise ExportError for what does not fit together, before anything is written."""
        check_names(self.kinds, QUANTIZE, "precision")
        if not self.kinds and (self.calibration is not None or self.evaluation is not None):
            raise ExportError("calibration and evaluation data are for quantised files; ask for them (--quantize int8)")
        if "int8" in self.kinds:
            check_calibration(contract, self.calibration)

    def typical(self, samples: Mapping[str, np.ndarray] | None) -> Mapping[str, np.ndarray] | None:
        """Return the real inputs that the files are judged on: evaluation data if there is any, else the next best."""
        if not self.kinds:
            return None
        return self.evaluation.inputs if self.evaluation else samples or self.calibration

    def judge(self, subject: Subject, certificate: Certificate) -> None:
        """Measure the drop of the files that passed so far, and write it into their rows."""
        if self.evaluation and self.kinds:
            judge_drop(
                *(subject.folder, subject.contract, subject.artifacts, certificate.artifacts),
                *(self.evaluation, self.max_drop),
            )
