"""Quantised artifacts on real data: the metric drop, paired with the reference, with its 95 % confidence interval.

Float files have one in runtimes that compute in half precision. An int8 file of quantization-aware training is compared
with the trained network, too, integer by integer.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from export.contract import Artifact, Contract, Endpoint
from export.contract.quantization import MAX_DROP, check_modules
from export.contract.simulation import Simulation
from export.formats import QUANTIZATIONS, format_of, tflite
from export.parity.cases import GoldenCase, write_golden
from export.parity.intervals import jackknife, lower_is_better
from export.parity.simulation import check_ranges, differences, explain
from export.proof.certificate import CAUSE, FAIL, NOT_RUN, NOTE, PASS, Finding, ProofRequest, Row, describe_drop
from export.proof.layer_diff import first_simulated_layer
from export.proof.prove import check_names
from export.protocol.arrays import Arrays
from export.protocol.runner import Runtime
from export.runners import RUNTIMES, runtimes_of
from export.runtime.execution import ArtifactRun, run_all
from zoobase.errors import ExportError

BATCH = 256
HALF_ROWS, HALF_SECONDS = 1000, 120.0  # of an evaluation in half precision: at most so many examples, and so long
SIMULATED_ROWS, SIMULATED_LARGEST = 500, 2**24  # rows that are compared with a simulation, bytes of their outputs
LARGEST = 2**26  # bytes of the outputs of a batch, and of those that a process returns if they are reduced

Metrics = Callable[[Arrays, np.ndarray], Mapping[str, Any]]
Reduce = Callable[[Arrays, np.ndarray], tuple[Arrays, np.ndarray]]


@dataclass(frozen=True)
class Evaluation:
    """Real data with labels.

    Attributes:
        inputs: Arrays (N, ...) by input name.
        truth: Labels or targets (N, ...).
        metrics: (outputs by name, truth) -> {metric: number, ...}; the first number is compared. None: accuracy for
            integer truth, mean squared error for the rest, of the first output.
        endpoint: Name of the endpoint to evaluate.
        groups: What examples (N,) have in common that depend on each other, such as the patient, or None.
        reduce: (outputs by name, truth) of some examples -> what is kept of both, with a row for each example; the
            metrics are computed from that. For outputs of every pixel, which do not fit into memory. None keeps all.

    Example:
        >>> evaluation = Evaluation({"x": np.zeros((200, 4))}, truth=np.zeros(200, int))
        >>> evaluation.endpoint
        'serving_default'
    """

    inputs: Mapping[str, np.ndarray]
    truth: np.ndarray
    metrics: Metrics | None = None
    endpoint: str = "serving_default"
    reduce: Reduce | None = None
    groups: np.ndarray | None = None

    def part(self, examples: slice | np.ndarray) -> Self:
        """Return the evaluation of some of the examples."""
        groups = None if self.groups is None else self.groups[examples]
        inputs = {k: v[examples] for k, v in self.inputs.items()}
        return replace(self, inputs=inputs, truth=self.truth[examples], groups=groups)


def with_metric_drop(
    request: ProofRequest, rows: Sequence[Row], evaluation: Evaluation, max_drop: float
) -> Sequence[Row]:
    """Return the rows with the metric drop of the quantised artifacts that passed so far."""
    # Each is run in the first runtime that a bundle needs of its format, and the row of that runtime fails unless the
    # whole confidence interval of the drop lies within the budget. A float file is run on a random part of the examples
    # where the arithmetic is in half precision; too few of them are a note there, because SQNR and top-1 hold already.
    name, drops = evaluation.endpoint, {}
    passed = {(row.artifact, row.runtime): row for row in rows if row.state == PASS}
    carried = [a for a in request.artifacts if name in a.endpoints]
    quantized = [a for a in carried if a.quantize and (a.path, runtime_of(a).name) in passed]
    place = request.folder, request.contract
    if quantized:
        found = measure_drops(*place, quantized, evaluation)
        drops = {(a.path, runtime_of(a).name): found[a.path] for a in quantized}
    for artifact in (a for a in carried if not a.quantize):
        for runtime in (r for r in runtimes_of(artifact.format) if r.precision and (artifact.path, r.name) in passed):
            part = _random_part(evaluation, request, passed[artifact.path, runtime.name].seconds or 0.0)
            (drops[artifact.path, runtime.name],) = measure_drops(*place, [artifact], part, runtime).values()

    def evaluated(row: Row) -> Row:
        drop, in_half = drops[row.artifact, row.runtime], bool(RUNTIMES[row.runtime].precision)
        if isinstance(drop, str):
            return row.with_findings(Finding(f"evaluation: {drop}", NOT_RUN if in_half else FAIL))
        figures = {**row.endpoints, name: {**row.endpoints[name], "evaluation": drop | {"max_drop": max_drop}}}
        text = f"{describe_drop(drop)}, which may be more than the budget of {max_drop:g}"
        if is_too_wide := drop["drop"] <= max_drop:  # the interval alone
            text += (
                f": {drop['examples']:,} examples cannot show that it is less; evaluate on more, or allow a larger drop"
            )
        findings = [] if drop["high"] <= max_drop else [Finding(text, NOTE if in_half and is_too_wide else FAIL)]
        return row.with_findings(*findings, endpoints=figures)

    return [evaluated(row) if (row.artifact, row.runtime) in drops else row for row in rows]


def _random_part(evaluation: Evaluation, request: ProofRequest, seconds: float) -> Evaluation:
    """Return as many examples as take `HALF_SECONDS` where the golden inputs took some seconds."""
    golden = sum(len(next(iter(case.inputs.values()))) for case in request.cases[evaluation.endpoint])
    count = min(HALF_ROWS, max(1, int(golden * HALF_SECONDS / max(seconds, 1e-9))))
    return evaluation.part(np.sort(np.random.default_rng(0).permutation(len(evaluation.truth))[:count]))


def measure_drops(
    folder: Path,
    contract: Contract,
    artifacts: Sequence[Artifact],
    evaluation: Evaluation,
    runtime: Runtime | None = None,
) -> dict[str, dict[str, Any] | str]:
    """Return the paired drop of artifacts against the live model by path, or a clause why there is none."""
    name = evaluation.endpoint
    endpoint = contract[name]
    metrics, reduce = evaluation.metrics or default_metrics(endpoint), evaluation.reduce or (lambda *both: both)
    kept: dict[str, list[tuple[Arrays, np.ndarray]]] = {}  # by artifact path, "" for the reference
    problems: dict[str, dict[str, Any] | str] = {}
    for part in _parts(evaluation, endpoint):
        reference = run_live(endpoint, part.inputs)
        kept.setdefault("", []).append(reduce(reference, part.truth))
        remaining = [a for a in artifacts if a.path not in problems]
        runs = run_quantized(folder, contract, remaining, name, part.inputs, runtime) if remaining else {}
        for path, run in runs.items():
            outputs = run.of(name).of(name)
            if set(outputs) == set(reference):
                kept.setdefault(path, []).append(reduce(outputs, part.truth))
            else:
                problems[path] = run.failure or run.of(name).first_error() or "no result"
    reference, truth = _concatenate(kept.pop(""))
    whole = {path: _concatenate(parts)[0] for path, parts in kept.items() if path not in problems}
    groups = evaluation.groups
    return problems | {path: paired_drop(metrics, reference, outputs, truth, groups) for path, outputs in whole.items()}


def runtime_of(artifact: Artifact) -> Runtime:
    """Return the runtime in which a quantised artifact is evaluated."""
    return min(runtimes_of(artifact.format), key=lambda runtime: runtime.extra)


def with_simulation(
    request: ProofRequest, rows: Sequence[Row], simulation: Simulation, inputs: Mapping[str, np.ndarray]
) -> list[Row]:
    """Return the rows, those of an int8 file in LiteRT with what its integers differ from the network's."""
    # A row fails if more than 0.1 % of the numbers of an output differ by more than one step of its integers, or if the
    # file has another range than the training; then the first layer that differs is named.
    found = {a.path: a for a in request.artifacts if a.quantize == tflite.SIMULATED and a.state is None}

    def compared(row: Row) -> Row:
        artifact = found.get(row.artifact)
        if artifact is None or row.runtime != runtime_of(artifact).name or row.state not in (PASS, FAIL):
            return row
        return _with_comparison(request, artifact, row, simulation, inputs)

    return [compared(row) for row in rows]


def _with_comparison(
    request: ProofRequest, artifact: Artifact, row: Row, simulation: Simulation, inputs: Mapping[str, np.ndarray]
) -> Row:
    endpoint = simulation.contract[artifact.endpoints[0]]
    names = [t.name for t in endpoint.inputs]
    if not set(names) <= set(inputs):
        cases = [case.inputs for case in request.cases[endpoint.name] if case.compared and not case.chain]
        inputs = {name: np.concatenate([case[name] for case in cases]) for name in names}
    count = min(SIMULATED_ROWS, _rows_within(SIMULATED_LARGEST, endpoint), len(inputs[names[0]]))
    inputs = {name: inputs[name][:count] for name in names}
    reference, run = (
        run_live(endpoint, inputs),
        run_quantized(request.folder, request.contract, [artifact], endpoint.name, inputs)[artifact.path],
    )
    values = run.of(endpoint.name).of(endpoint.name)
    if set(values) != set(reference):
        problem = run.failure or run.of(endpoint.name).first_error() or "no result"
        return row.with_findings(Finding(f"comparison with the training: {problem}"))
    results, outputs = tflite.integer_tensors((request.folder / artifact.path).read_bytes(), endpoint.name)
    figures = {output: differences(reference[output], values[output], q.scale) for output, q in outputs.items()}
    texts = [*check_ranges(simulation, results)]
    texts += [text for output, figure in figures.items() if (text := explain(output, figure))]
    if not outputs:
        texts.append(f"no output of {endpoint.name} is computed by integers: the file is float")
    clause = first_simulated_layer(request, artifact, simulation, inputs, results) if texts and outputs else None
    causes = [Finding(clause, CAUSE)] if clause else []
    figures = {**row.endpoints.get(endpoint.name, {}), "simulation": {"rows": count, "outputs": figures}}
    return row.with_findings(*map(Finding, texts), *causes, endpoints={**row.endpoints, endpoint.name: figures})


def _parts(evaluation: Evaluation, endpoint: Endpoint) -> Iterator[Evaluation]:
    """Yield the evaluation in parts whose outputs fit into memory: all of it, if nothing is reduced."""
    count = len(evaluation.truth)
    size = _rows_within(LARGEST, endpoint) if evaluation.reduce else count
    size = -(-size // endpoint.batch) * endpoint.batch if endpoint.batch else size
    yield from (evaluation.part(slice(start, start + size)) for start in range(0, count, size))


def _rows_within(size: int, endpoint: Endpoint) -> int:
    """Return the number of examples, at least one, whose outputs have `size` bytes."""
    example = 4 * sum(math.prod(t.shape[1:]) for t in endpoint.outputs if None not in t.shape[1:])
    return max(1, size // max(1, example))


def run_quantized(
    folder: Path,
    contract: Contract,
    artifacts: Sequence[Artifact],
    name: str,
    inputs: Mapping[str, np.ndarray],
    runtime: Runtime | None = None,
) -> dict[str, ArtifactRun]:
    """Return the runs of quantised artifacts over inputs of an endpoint, by path."""
    plan: dict[str, tuple[Runtime, list[Artifact]]] = {}
    for artifact in artifacts:
        chosen = runtime or runtime_of(artifact)
        plan.setdefault(chosen.name, (chosen, []))[1].append(artifact)
    with tempfile.TemporaryDirectory(prefix="evaluation-") as scratch:
        golden = Path(scratch) / "golden"
        write_golden(
            golden,
            {e: [] for a in artifacts for e in a.endpoints} | {name: [GoldenCase(name, dict(inputs), compared=False)]},
        )
        runs = run_all(folder, contract, plan, (), golden)
    return {path: run for (_, path), run in runs.items()}


def _concatenate(parts: Sequence[tuple[Arrays, np.ndarray]]) -> tuple[Arrays, np.ndarray]:
    outputs = {name: np.concatenate([outputs[name] for outputs, _ in parts]) for name in parts[0][0]}
    return outputs, np.concatenate([truth for _, truth in parts])


def paired_drop(
    metrics: Metrics,
    reference: Mapping[str, np.ndarray],
    value: Mapping[str, np.ndarray],
    truth: np.ndarray,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the drop of the first metric with its 95 % confidence interval, by the delete-a-group jackknife."""
    # Positive where the artifact is worse: a difference of scores, a fraction of the reference's errors. If no group
    # changed, the interval is plus or minus 3 / N (Hanley, Lippman-Hand 1983), of one group plus or minus 1.

    def drop(subset: Any) -> tuple[str, float, float, float]:
        a, b = ({k: v[subset] for k, v in outputs.items()} for outputs in (reference, value))
        name, before = _first(metrics(a, truth[subset]))
        after = _first(metrics(b, truth[subset]))[1]
        decrease = (after - before) / max(abs(before), 1e-12) if lower_is_better(name) else before - after
        return name, before, after, decrease

    count = len(truth)
    name, before, after, total = drop(slice(None))
    margin = float(jackknife(lambda subset: drop(subset)[3], count, groups=groups).margin)
    margin = max(margin, 3 / count) if total == 0 and margin == 0 else 1.0 if np.isnan(margin) else margin
    return {
        "metric": name,
        "reference": before,
        "value": after,
        "drop": total,
        "low": total - margin,
        "high": total + margin,
        "examples": count,
        **({} if groups is None else {"groups": len(np.unique(groups))}),
    }


def _first(metrics: Mapping[str, Any]) -> tuple[str, float]:
    for name, value in metrics.items():
        if isinstance(value, (int, float, np.number)):
            return name, float(value)
    raise ExportError("the metrics of the evaluation hold no number")


def default_metrics(endpoint: Endpoint) -> Metrics:
    """Return accuracy of the first output for integer truth, else its mean squared error."""
    output = endpoint.outputs[0]

    def metrics(outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
        values = outputs[output.name]
        if truth.dtype.kind in "iub":
            single = values.shape[-1] == 1
            threshold = 0.0 if output.meaning == "logits" else 0.5
            predicted = (values[..., 0] > threshold).astype(int) if single else values.argmax(-1)
            return {"accuracy": float(np.mean(predicted.reshape(truth.shape) == truth))}
        return {"mean_squared_error": float(np.mean((values.reshape(truth.shape) - truth) ** 2))}

    return metrics


def run_live(endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of the live model for all rows."""
    # In graph mode: an eager functional model keeps the outputs of all layers, 20 GB for 256 photographs.
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    graph = tf.function(endpoint.call, reduce_retracing=True, autograph=False)

    def call(values: Arrays) -> Arrays:
        outputs = graph({k: tf.constant(v, dtypes[k]) for k, v in values.items()})
        return {k: tf.convert_to_tensor(v).numpy() for k, v in outputs.items()}

    size, rows = endpoint.batch or min(BATCH, _rows_within(LARGEST, endpoint)), len(next(iter(inputs.values())))
    parts = [call({k: v[i : i + size] for k, v in inputs.items()}) for i in range(0, rows, size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def read_evaluation(arrays: Mapping[str, np.ndarray], endpoint: Endpoint) -> Evaluation:
    """Return the evaluation in a file's arrays: the inputs by name, the truth, and perhaps `groups`."""
    names = [t.name for t in endpoint.inputs]
    others = sorted(set(arrays) - set(names))
    groups = arrays["groups"] if "groups" in others and len(others) > 1 else None
    others = [name for name in others if name != "groups" or groups is None]
    if not set(names) <= set(arrays) or len(others) != 1:
        raise ExportError(
            f"evaluation data holds {', '.join(sorted(arrays))}; it must hold {', '.join(names)} and one array of truth"
        )
    sizes = {name: len(value) for name, value in arrays.items()}
    if len(set(sizes.values())) != 1 or not min(sizes.values()):
        raise ExportError(f"evaluation data has arrays of different or no length: {sizes}")
    return Evaluation({name: arrays[name] for name in names}, arrays[others[0]], groups=groups)


@dataclass(frozen=True)
class Quantization:
    """Which quantised files to write, and the data to calibrate and evaluate them with.

    Attributes:
        forms: Their names, of `export.formats.QUANTIZATIONS`. Each file must stay within its budget.
        calibration: Real inputs (N, ...) by name from the training data, at least 100 for forms with measured ranges.
        evaluation: Real data with labels, on which the metric drop is measured, also of float files in half precision
            if `Checks.extras` has a runtime of it (`gpu`); or None.
        max_drop: Largest allowed drop of the metric.
        keep_float: How many consecutive operators of the int8 file stay float: those whose quantization loses most on
            the calibration data. Needs the extra `quantizer`.
        simulation: What the int8 file is to compute, of quantization-aware training: it is converted from this model,
            with the ranges of the training, and its integers are compared with it. None measures ranges on
            `calibration`.

    Example:
        >>> Quantization(["dynamic", "float16"]).max_drop
        0.01
    """

    forms: Sequence[str] = ()
    calibration: Mapping[str, np.ndarray] | None = None
    evaluation: Evaluation | None = None
    max_drop: float = MAX_DROP
    keep_float: int = 0
    simulation: Simulation | None = None

    def check(self, contract: Contract, runtimes: Sequence[str] = ()) -> None:
        """Raise ExportError for invalid combinations, before anything is written; `runtimes` are those asked for."""
        check_names(self.forms, tuple(QUANTIZATIONS), "precision")
        chosen = [QUANTIZATIONS[form] for form in self.forms]
        if not 0 <= self.max_drop < math.inf:
            raise ExportError(f"the largest allowed drop of the metric is {self.max_drop}; give a number, zero or more")
        in_half = any(r.precision and {r.name, r.group} & {*runtimes} for r in RUNTIMES.values())
        if not self.forms and (self.calibration is not None or (self.evaluation is not None and not in_half)):
            raise ExportError("calibration and evaluation data are for quantised files; ask for them (--quantize int8)")
        if self.keep_float < 0 or (self.keep_float and not any(q.may_keep_float for q in chosen)):
            raise ExportError(
                f"keep_float is {self.keep_float}; give the number of operators of an int8 file (--quantize int8)"
            )
        if self.keep_float:
            check_modules("keeping operators float (--keep-float)", *tflite.SELECTIVE)
        if self.simulation is not None and (tflite.SIMULATED not in self.forms or self.keep_float):
            raise ExportError("simulation is what an int8 file computes: add int8 to the forms, without keep_float")
        for quantization in chosen:
            quantization.check_installed()
            endpoints = contract.carried_by(format_of(quantization.name).name)
            is_trained = self.simulation is not None and quantization.name == tflite.SIMULATED
            if quantization.is_calibrated and endpoints and not is_trained:
                quantization.check_calibration(endpoints[0], self.calibration)

    def typical(self, samples: Mapping[str, np.ndarray] | None) -> Mapping[str, np.ndarray] | None:
        """Return the real inputs for the comparison: evaluation data, else samples, else calibration data."""
        if self.evaluation:
            return self.evaluation.inputs
        return samples or self.calibration if self.forms else None

    def evaluate(self, request: ProofRequest, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows, those of the files that passed so far with their metric drop."""
        if not self.evaluation:
            return rows
        return with_metric_drop(request, rows, self.evaluation, self.max_drop)
