"""Compare any two artifacts: the same inputs into both, each in its own fresh process, and what comes out."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import Description, describe, refuse
from export.artifacts.calling import check_samplable, endpoints_of, run_artifact, runtime_for, with_samples
from export.artifacts.matching import Pair, by_value, distance, match
from export.contract import Endpoint
from export.errors import CheckFailed, ExportError
from export.parity.comparison import compare_output, compare_rms
from export.parity.distance import difference_figures, is_real
from export.parity.golden import Case, cases_for
from export.parity.noise_floor import find_unstable_rows, measure_noise_floor, measure_row_noise, stable_rows
from export.parity.policy import Policy
from export.runtime import onednn
from export.runtime.execution import Run

WAYS = 24  # orders of inputs that are tried where only values can tell
SAME, RENAMED, DIFFERENT = "same", "same, renamed", "different"


def compare(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    match: Mapping[str, str] | None = None,
    trust: bool = False,
) -> Comparison:
    """Compare two artifacts of any format, ours or a stranger's.

    Inputs and outputs are paired by name, then by dtype and shape, and by value where several could be meant or where
    other names fit far better; the result says how each pair was found.

    Args:
        reference: A .keras, .h5, .tflite or .onnx file, a SavedModel, or a base path of versions.
        candidate: Another.
        samples: Real inputs (N, ...) by the names of the reference; drawn where they are not given.
        match: {output of the reference: output of the candidate}, not to be guessed.
        trust: Run artifacts that can act on this machine.

    Raises:
        MissingError: If an artifact or what runs it is not there.
        CheckFailed: If an artifact can act and is not trusted, or does not run at all.
        ExportError: If the two cannot be fed the same inputs.
    """
    sides = [describe(Path(path)) for path in (reference, candidate)]
    for description in sides:
        refuse(description, trust)
    runtime_for(sides[0].format), runtime_for(sides[1].format)
    result = Comparison(str(reference), str(candidate), SAME)
    meetings = [_prepare(sides, one, other, samples or {}) for one, other in _pair_endpoints(*map(endpoints_of, sides))]
    fed = ({m.one.name: m.cases for m in meetings}, {m.other.name: m.fed for m in meetings})
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(_run, sides, ([m.one for m in meetings], [m.other for m in meetings]), fed))
    for meeting in meetings:
        _conclude(meeting, sides, runs, match or {}, result)
    result.verdict = DIFFERENT if result.findings else result.verdict
    return result


@dataclass(frozen=True)
class _Meeting:
    """Two endpoints, the ways in which their inputs can be paired, and what each is fed."""

    one: Endpoint
    other: Endpoint
    ways: Sequence[Sequence[Pair]]
    cases: Sequence[Case]
    fed: Sequence[Case]


def _pair_endpoints(ones: Sequence[Endpoint], others: Sequence[Endpoint]) -> list[tuple[Endpoint, Endpoint]]:
    """Return endpoints of one name; else the default ones, or the only ones."""
    named = {e.name: e for e in others}
    if both := [(e, named[e.name]) for e in ones if e.name in named]:
        return both
    chosen = []
    for endpoints in (ones, others):
        default = [e for e in endpoints if e.name == "serving_default"]
        if not default and len(endpoints) != 1:
            names = ", ".join(e.name for e in endpoints) or "none"
            raise ExportError(f"no signature to compare: one side has {names}, and none of them is serving_default")
        chosen.append((default or list(endpoints))[0])
    return [(chosen[0], chosen[1])]


def _prepare(
    sides: Sequence[Description], one: Endpoint, other: Endpoint, samples: Mapping[str, np.ndarray]
) -> _Meeting:
    """Return what two endpoints are fed: the same values in every way in which their inputs can be paired."""
    ways = match(one.inputs, other.inputs)[:WAYS]
    one = with_samples(_informed(one, other, ways[0]), samples)
    check_samplable(one, sides[0].path)
    size = math.lcm(one.batch or 1, other.batch or 1)
    drawn = dataclasses.replace(one, batch=size if size > 1 else None)
    cases = [case for case in cases_for(drawn, samples) if case.compared]
    fed = [_renamed(case, other, way, number) for number, way in enumerate(ways) for case in cases]
    return _Meeting(one, other, ways, cases, fed)


def _conclude(
    meeting: _Meeting,
    sides: Sequence[Description],
    runs: Sequence[Run],
    asked: Mapping[str, str],
    result: Comparison,
) -> None:
    """Find out which output is which, and judge them."""
    one, other, cases = meeting.one, meeting.other, meeting.cases
    for description, run, endpoint in zip(sides, runs, (one, other), strict=True):
        _must_have_run(description, run, endpoint)
    raised = [f"{key.partition('@')[0]}: {text}" for key, text in runs[1].errors.get(other.name, {}).items()]
    result.findings += [f"{one.name or 'the model'}: the candidate raises in case {text}" for text in raised[:1]]
    values = _values(cases, runs[0].arrays[one.name])
    cases = _with_outputs(cases, values)
    for case in cases:
        case.unstable_rows = find_unstable_rows(case, runs[0].arrays[one.name], Policy())
        case.row_noise = measure_row_noise(case, runs[0].arrays[one.name], Policy())
    pairs = _pair_outputs(one, other, asked)
    scored = []
    for number, way in enumerate(meeting.ways):
        got = _values([_renamed(c, other, way, number) for c in cases], runs[1].arrays[other.name])
        outputs = by_value(pairs, values, got)
        scored.append((_score(values, got, outputs), number, way, got, outputs))
    _, number, way, got, outputs = min(scored, key=lambda entry: entry[0])
    floor = measure_noise_floor(cases, runs[0].arrays[one.name])
    floor["kernels of the candidate"] = _kernels(cases, number, outputs, runs[1].arrays[other.name])
    judge(result, one, other, (way, outputs), cases, values, got, floor)


def _kernels(
    cases: Sequence[Case], number: int, outputs: Sequence[Pair], arrays: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return how far the candidate's kernels differ from each other, by the names of the reference."""
    renamed = {
        f"{case.name}/{variant}/{pair.reference}": value
        for case in cases
        for pair in outputs
        for variant in ("main", "kernels")
        if (value := arrays.get(f"{case.name}@{number}/{variant}/{pair.candidate}")) is not None
    }
    return measure_noise_floor(cases, renamed).get("kernels", {})


def _pair_outputs(one: Endpoint, other: Endpoint, asked: Mapping[str, str]) -> list[Pair]:
    """Return the outputs as names, dtypes and shapes pair them; what a Keras file does not tell matches anything."""
    asked = {a: b for a, b in asked.items() if a in {t.name for t in one.outputs}}
    return match(one.outputs, other.outputs, asked)[0]


def _informed(one: Endpoint, other: Endpoint, pairs: Sequence[Pair]) -> Endpoint:
    """Return the reference's endpoint with the ranges and sizes that only the candidate knows."""
    theirs = {pair.reference: next(t for t in other.inputs if t.name == pair.candidate) for pair in pairs}

    def told(tensor: Any) -> Any:
        partner = theirs[tensor.name]
        if partner.high is not None and (tensor.high is None or tensor.meaning == "tensor"):
            facts = {key: getattr(partner, key) for key in ("meaning", "low", "high", "vocabulary")}
            tensor = dataclasses.replace(tensor, **facts)
        if tensor.shape and partner.shape:
            sizes = [b if a is None else a for a, b in zip(tensor.shape[1:], partner.shape[1:], strict=True)]
            tensor = dataclasses.replace(tensor, shape=(tensor.shape[0], *sizes))
        return tensor

    return dataclasses.replace(one, inputs=tuple(map(told, one.inputs)))


def _renamed(case: Case, endpoint: Endpoint, pairs: Sequence[Pair], number: int) -> Case:
    """Return a case under the names and dtypes of the candidate."""
    dtypes = {t.name: "object" if t.dtype == "string" else t.dtype for t in endpoint.inputs}
    inputs = {p.candidate: case.inputs[p.reference].astype(dtypes[p.candidate]) for p in pairs}
    return Case(f"{case.name}@{number}", inputs, rows=case.rows)


def _run(description: Description, endpoints: Sequence[Endpoint], cases: Mapping[str, Sequence[Case]]) -> Run:
    runtime, environment = runtime_for(description.format), onednn.other_kernels()
    again_with = {runtime.name: environment} if environment and "tensorflow" in runtime.imports else {}
    return run_artifact(description.path, description.format, endpoints, cases, [runtime], again_with)[runtime.name]


def _must_have_run(description: Description, run: Run, endpoint: Endpoint) -> None:
    problem = run.problem or run.report.get("error")
    if problem is None and not run.arrays.get(endpoint.name):
        problem = next(iter(run.errors.get(endpoint.name, {}).values()), "nothing came out")
    if problem:
        raise CheckFailed(f"{description.path} does not run: {problem}")


def _values(cases: Sequence[Case], arrays: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return the outputs by name, one array for each case; a case that raised has an empty one."""
    names = dict.fromkeys(key.split("/", 2)[2] for key in arrays if key.split("/", 2)[1] == "main")
    return {name: [arrays.get(f"{c.name}/main/{name}", np.empty(0)) for c in cases] for name in names}


def _score(
    values: Mapping[str, Sequence[np.ndarray]], got: Mapping[str, Sequence[np.ndarray]], pairs: Sequence[Pair]
) -> float:
    return max((distance(values[p.reference], got.get(p.candidate, ())) for p in pairs), default=0.0)


def _with_outputs(cases: Sequence[Case], values: Mapping[str, Sequence[np.ndarray]]) -> list[Case]:
    return [
        dataclasses.replace(case, outputs={name: found[number] for name, found in values.items()})
        for number, case in enumerate(cases)
    ]


@dataclass
class Comparison:
    """What a comparison found.

    Attributes:
        reference: Path of the reference.
        candidate: Path of the candidate.
        verdict: "same"; "same, renamed": the same values under other names; or "different".
        endpoints: For each pair of endpoints: names, pairs of inputs and outputs with how they were found, figures.
        notes: What a person should know, a sentence each.
        findings: What differs, a sentence each.
    """

    reference: str
    candidate: str
    verdict: str
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 0 for the same values, 1 for others."""
        return int(self.verdict == DIFFERENT)

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        return asdict(self)


def judge(
    result: Comparison,
    one: Endpoint,
    other: Endpoint,
    pairs: tuple[Sequence[Pair], Sequence[Pair]],
    cases: Sequence[Case],
    values: Mapping[str, Sequence[np.ndarray]],
    got: Mapping[str, Sequence[np.ndarray]],
    floor: Mapping[str, Mapping[str, float]],
) -> None:
    """Add one pair of endpoints to the result."""
    policy, figures = Policy(), {}
    classes = {t.name for t in (*one.outputs, *other.outputs) if t.meaning in ("logits", "probabilities")}
    for pair in pairs[1]:
        measured = [outputs.get(pair.reference, 0.0) for outputs in floor.values()]
        noisy = max((value for value in measured if value <= policy.ceiling), default=0.0)
        found, figure = _compare_pair(pair, cases, values, got, noisy, policy, bool({*classes} & {pair.reference}))
        figures[pair.reference] = figure
        result.findings += [f"{one.name or 'the model'}: {text}" for text in found[:3]]
    for kind, matched in (("input", pairs[0]), ("output", pairs[1])):
        result.notes += [
            f"{kind} {p.reference} of the reference is {p.candidate} of the candidate (by {p.how})"
            for p in matched
            if p.reference != p.candidate or p.how == "value"
        ]
    if jumps := [case.rows[i] for case in cases for i in case.unstable_rows]:
        result.notes.append(f"the reference itself jumps at {', '.join(jumps)}, which is not compared")
    left_over = [name for name in got if name not in {p.candidate for p in pairs[1]}]
    if left_over:
        result.notes.append(f"the candidate also returns {', '.join(left_over)}")
    if any(p.reference != p.candidate for p in pairs[1]):
        result.verdict = RENAMED
    result.endpoints.append(
        {
            "reference": one.name,
            "candidate": other.name,
            "inputs": [asdict(p) for p in pairs[0]],
            "outputs": [asdict(p) for p in pairs[1]],
            "figures": figures,
        }
    )


def _compare_pair(
    pair: Pair,
    cases: Sequence[Case],
    values: Mapping[str, Sequence[np.ndarray]],
    got: Mapping[str, Sequence[np.ndarray]],
    floor: float,
    policy: Policy,
    classes: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with one output, and its figures."""
    name = pair.reference
    if pair.candidate not in got:
        return [f"the candidate does not return {pair.candidate}"], {}
    found, pairs, ordinary = [], [], []
    for case, a, b in zip(cases, values[name], got[pair.candidate], strict=True):
        if is_real(a) and is_real(b) and a.dtype != b.dtype:  # a half float is judged as one
            coarser = min((a.dtype, b.dtype), key=lambda dtype: dtype.itemsize)
            a, b = a.astype(coarser), b.astype(coarser)
        elif a.dtype.kind in "iu" and b.dtype.kind in "iu":
            b = b.astype(a.dtype)
        found += compare_output(dataclasses.replace(case, outputs={name: a}), name, b, floor, policy)
        if a.shape == b.shape and is_real(a) and is_real(b):
            pairs.append((stable_rows(case, a), stable_rows(case, b)))
            ordinary += [] if case.rows else pairs[-1:]
    if ordinary and not found and (problem := compare_rms(ordinary, floor, policy)):
        found.append(f"{name} {problem}")
    if not pairs:
        return found, {}
    return found, difference_figures(pairs, policy.tolerance(floor, pairs[0][0].dtype), classes)
