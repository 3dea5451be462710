"""Compare any two artifacts: run both on the same inputs, each in its own fresh process, and compare the outputs."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import Description, check_trusted, describe
from export.artifacts.calling import check_samplable, endpoints_of, run_artifact, runtime_for, with_samples
from export.artifacts.comparison_result import (
    DIFFERENT,
    EXCHANGED,
    INCOMPLETE,
    NOT_REPEATABLE,
    UNDECIDED,
    Comparison,
    add_endpoints,
    with_outputs,
)
from export.artifacts.matching import Pair, by_value, distance, match
from export.artifacts.quantized import as_real, as_stored, quantization_of, without_quantization
from export.contract import Endpoint, Tensor
from export.contract.sampling import level_values
from export.parity.comparison import check_repeatability
from export.parity.golden import Case, cases_for, check_samples
from export.parity.noise_floor import (
    check_noise_floor,
    find_unstable_rows,
    measure_noise_floor,
    measure_row_noise,
)
from export.parity.policy import Policy
from export.runtime import onednn
from export.runtime.execution import Run
from zoobase.errors import CheckFailed, ExportError

MAX_INPUT_PAIRINGS = 24  # pairings of inputs that are tried where only values can choose
MORE_ROWS = 64  # drawn where the first inputs give no evidence


def compare(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    match: Mapping[str, str] | None = None,
    trust: Collection[str] = (),
) -> Comparison:
    """Compare two artifacts of any format, also of third parties.

    Inputs and outputs are paired by name, then by dtype and shape, and by value where this is ambiguous or where the
    values contradict the names; the result reports how each pair was matched.

    Args:
        reference: A .keras, .h5, .tflite or .onnx file, a SavedModel, or a base path of versions.
        candidate: Another artifact.
        samples: Real inputs (N, ...) by the names of the reference; generated where they are not given.
        match: {input or output of the reference: that of the candidate}, which takes precedence.
        trust: Operators that may run although they are not on the list of inference operators; "any" runs any artifact.

    Raises:
        Unavailable: If an artifact or its runtime is not available.
        CheckFailed: If an artifact can execute code and is not trusted, or if it does not run.
        ExportError: If the two cannot take the same inputs.

    Example:
        See examples/compare_two_files.py.
    """
    descriptions = [describe(Path(path)) for path in (reference, candidate)]
    for description in descriptions:
        check_trusted(description, trust)
    for description in descriptions:
        runtime_for(description.format)  # raises if it is not installed
    every = [endpoints_of(description) for description in descriptions]
    endpoints = _pair_endpoints(*every)
    check_samples(samples or {}, (reference for reference, _ in endpoints))
    _check_requested(match or {}, endpoints)
    result = _compare(descriptions, endpoints, samples or {}, match or {})
    if result.verdict == UNDECIDED:
        result = _compare(descriptions, endpoints, samples or {}, match or {}, MORE_ROWS)
    missing, additional = (
        [e.name for e in side if e not in paired]
        for side, paired in zip(every, zip(*endpoints, strict=True), strict=True)
    )
    result.add(INCOMPLETE, *(f"the candidate has no signature {name} of the reference" for name in missing))
    result.notes += [f"the candidate also has signature {name}" for name in additional]
    return dataclasses.replace(result, reference=str(reference), candidate=str(candidate))


def _compare(
    descriptions: Sequence[Description],
    endpoints: Sequence[tuple[Endpoint, Endpoint]],
    samples: Mapping[str, np.ndarray],
    requested: Mapping[str, str],
    more_rows: int = 0,
) -> Comparison:
    """Run and compare two artifacts, with `more_rows` further rows of input at many levels."""
    result = Comparison(*(str(description.path) for description in descriptions))
    pairs = [_prepare(descriptions, *pair, samples, requested, more_rows) for pair in endpoints]
    inputs = (
        {p.reference.name: [_stored(case, p.reference) for case in p.cases] for p in pairs},
        {p.candidate.name: p.candidate_cases for p in pairs},
    )
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(_run, descriptions, ([p.reference for p in pairs], [p.candidate for p in pairs]), inputs))
    for pair in pairs:
        _compare_endpoints(pair, descriptions, runs, requested, result)
    return result


@dataclass(frozen=True)
class EndpointPair:
    """Two endpoints with the inputs of each.

    Attributes:
        reference: Endpoint of the reference.
        candidate: Endpoint of the candidate.
        pairings: Possible pairings of their inputs.
        cases: Inputs of the reference.
        candidate_cases: The same inputs under the names of the candidate, once for each pairing.
    """

    reference: Endpoint
    candidate: Endpoint
    pairings: Sequence[Sequence[Pair]]
    cases: Sequence[Case]
    candidate_cases: Sequence[Case]


def _pair_endpoints(reference: Sequence[Endpoint], candidate: Sequence[Endpoint]) -> list[tuple[Endpoint, Endpoint]]:
    """Return pairs of endpoints with the same name, and the default or only ones of those that are left."""
    named = {e.name: e for e in candidate}
    pairs = [(e, named[e.name]) for e in reference if e.name in named]
    chosen = []
    for side, endpoints in enumerate((reference, candidate)):
        left = [e for e in endpoints if e not in [pair[side] for pair in pairs]]
        default = [e for e in left if e.name == "serving_default"]
        chosen += default or (left if len(left) == 1 else [])
        if len(chosen) == side and not pairs:
            names = ", ".join(e.name for e in endpoints) or "none"
            raise ExportError(f"no signature to compare: one artifact has {names}, none of which is serving_default")
    if len(chosen) == 2 and (not pairs or _can_match(*chosen)):
        pairs.append((chosen[0], chosen[1]))
    return pairs


def _can_match(reference: Endpoint, candidate: Endpoint) -> bool:
    try:
        return all(
            match(*ports) for ports in zip(*((e.inputs, e.outputs) for e in (reference, candidate)), strict=True)
        )
    except CheckFailed:
        return False


def _prepare(
    descriptions: Sequence[Description],
    reference: Endpoint,
    candidate: Endpoint,
    samples: Mapping[str, np.ndarray],
    requested: Mapping[str, str],
    more_rows: int,
) -> EndpointPair:
    """Return two endpoints with their inputs: the same values for every possible pairing of inputs."""
    is_quantised = len({tuple(map(quantization_of, (*e.inputs, *e.outputs))) for e in (reference, candidate)}) > 1
    reference, candidate = map(as_real if is_quantised else without_quantization, (reference, candidate))
    requested = _requested_among(requested, reference.inputs, candidate.inputs)
    pairings = match(reference.inputs, candidate.inputs, requested)[:MAX_INPUT_PAIRINGS]
    reference = with_samples(_with_candidate_ranges(reference, candidate, pairings[0]), samples)
    check_samplable(reference, descriptions[0].path)
    size = math.lcm(reference.batch or 1, candidate.batch or 1)
    common = dataclasses.replace(reference, batch=size if size > 1 else None)
    cases = [case for case in cases_for(common, samples) if case.compared]
    if more_rows:
        rows = math.ceil(more_rows / size) * size
        cases.append(Case("levels", {t.name: level_values(t, rows) for t in common.inputs}))
    cases = [_rounded(case, pairings[0], reference, candidate) for case in cases]
    candidate_cases = [_renamed(case, candidate, pairs, n) for n, pairs in enumerate(pairings) for case in cases]
    return EndpointPair(reference, candidate, pairings, cases, candidate_cases)


def _compare_endpoints(
    endpoints: EndpointPair,
    descriptions: Sequence[Description],
    runs: Sequence[Run],
    requested: Mapping[str, str],
    result: Comparison,
) -> None:
    """Match the outputs of two endpoints and compare them."""
    reference, candidate, cases = endpoints.reference, endpoints.candidate, endpoints.cases
    for description, run, endpoint in zip(descriptions, runs, (reference, candidate), strict=True):
        _check_ran(description, run, endpoint)
    values = _values(cases, runs[0].arrays[reference.name])
    cases = with_outputs(cases, values)
    for case in cases:
        case.unstable_rows = find_unstable_rows(case, runs[0].arrays[reference.name], Policy())
        case.row_noise = measure_row_noise(case, runs[0].arrays[reference.name], Policy())
    pairs = _pair_outputs(reference, candidate, requested)
    scored = []
    for number, inputs in enumerate(endpoints.pairings):
        candidate_values = _values(
            [_renamed(c, candidate, inputs, number) for c in cases], runs[1].arrays[candidate.name]
        )
        outputs = by_value(pairs, values, candidate_values)
        scored.append((_score(values, candidate_values, outputs), number, inputs, candidate_values, outputs))
    _, number, inputs, candidate_values, outputs = min(scored, key=lambda entry: entry[0])
    where, is_answered = reference.name or "the model", []
    for case in cases:
        texts = [
            run.errors.get(endpoint.name, {}).get(f"{case.name}{suffix}/main")
            for run, endpoint, suffix in zip(runs, (reference, candidate), ("", f"@{number}"), strict=True)
        ]
        is_answered.append(texts == [None, None])
        if all(texts):
            result.notes.append(f"both raise in case {case.name}, which is not compared")
        elif any(texts):
            raising, other = ("reference", "candidate") if texts[0] else ("candidate", "reference")
            text = texts[0] or texts[1]
            result.add(DIFFERENT, f"{where}: the {raising} raises in case {case.name}, the {other} does not: {text}")
    cases = list(itertools.compress(cases, is_answered))
    values, candidate_values = (
        {name: list(itertools.compress(of_cases, is_answered)) for name, of_cases in side.items()}
        for side in (values, candidate_values)
    )
    if not cases:
        return
    floor = measure_noise_floor(cases, runs[0].arrays[reference.name])
    renamed = [_under_reference_names(cases, n, outputs, runs[1].arrays[candidate.name]) for n in (0, number)]
    floor["kernels of the candidate"] = measure_noise_floor(cases, renamed[-1]).get("kernels", {})
    random = [name for name in values if _unrepeatable(cases, name, runs[0].arrays[reference.name])]
    for name in random:
        text = f"two identical calls of the reference differ in {name}, so it is not compared; fix its random seed"
        result.add(UNDECIDED, f"{where}: {text}")
    for name in (name for name in values if name not in random):
        messages = [text for arrays in renamed for text in _unrepeatable(cases, name, arrays)]
        result.add(NOT_REPEATABLE, *(f"{where}: the candidate: {text}" for text in messages[:1]))
    if noise := check_noise_floor(floor, Policy()):
        result.notes.append(f"the reference: {noise[0]}")
    named = {pair.reference: pair.candidate for pair in pairs if pair.how == "name"}
    result.add(
        EXCHANGED,
        *(
            f"{where}: {p.reference} is what the candidate returns as {p.candidate}"
            for p in outputs
            if p.reference not in random and named.get(p.reference, p.candidate) != p.candidate
        ),
    )
    add_endpoints(result, reference, candidate, (inputs, outputs), cases, values, candidate_values, floor, random)


def _under_reference_names(
    cases: Sequence[Case], pairing: int, outputs: Sequence[Pair], arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the candidate's arrays for one pairing of inputs, by the names of the reference."""
    names = {pair.candidate: pair.reference for pair in outputs}
    suffix, renamed = f"@{pairing}", {}
    for key, value in arrays.items():
        case, variant, output = key.split("/", 2)
        if case.endswith(suffix) and output in names:
            renamed[f"{case.removesuffix(suffix)}/{variant}/{names[output]}"] = value
    return renamed


def _unrepeatable(cases: Sequence[Case], output: str, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return where an output differs between two identical calls."""
    cases = [dataclasses.replace(case, outputs={output: case.outputs[output]}) for case in cases]
    return check_repeatability(cases, arrays)


def _pair_outputs(reference: Endpoint, candidate: Endpoint, requested: Mapping[str, str]) -> list[Pair]:
    """Return the pairing of outputs by names, dtypes and shapes; unknown shapes of Keras files match any."""
    return match(
        reference.outputs, candidate.outputs, _requested_among(requested, reference.outputs, candidate.outputs)
    )[0]


def _requested_among(
    requested: Mapping[str, str], reference: Sequence[Tensor], candidate: Sequence[Tensor]
) -> dict[str, str]:
    """Return the requested pairs of these tensors: a pair may be of inputs or of outputs."""
    left, right = {t.name for t in reference}, {t.name for t in candidate}
    return {one: other for one, other in requested.items() if one in left and other in right}


def _check_requested(requested: Mapping[str, str], endpoints: Sequence[tuple[Endpoint, Endpoint]]) -> None:
    """Raise ExportError for a requested pair that is neither of two inputs nor of two outputs."""
    sides = [(getattr(one, kind), getattr(other, kind)) for one, other in endpoints for kind in ("inputs", "outputs")]
    for one, other in requested.items():
        if not any(_requested_among({one: other}, *side) for side in sides):
            left, right = (", ".join(dict.fromkeys(t.name for s in sides for t in s[i])) for i in (0, 1))
            raise ExportError(f"cannot match {one}={other}; the reference has {left}, the candidate {right}")


def _with_candidate_ranges(reference: Endpoint, candidate: Endpoint, pairs: Sequence[Pair]) -> Endpoint:
    """Return the reference's endpoint with ranges and sizes that only the candidate declares."""
    partners = {pair.reference: next(t for t in candidate.inputs if t.name == pair.candidate) for pair in pairs}

    def completed(tensor: Any) -> Any:
        partner = partners[tensor.name]
        if partner.high is not None and (tensor.high is None or tensor.meaning == "tensor"):
            facts = {key: getattr(partner, key) for key in ("meaning", "low", "high", "vocabulary")}
            tensor = dataclasses.replace(tensor, **facts)
        if tensor.shape and partner.shape:
            sizes = [b if a is None else a for a, b in zip(tensor.shape[1:], partner.shape[1:], strict=True)]
            tensor = dataclasses.replace(tensor, shape=(tensor.shape[0], *sizes))
        return tensor

    return dataclasses.replace(reference, inputs=tuple(map(completed, reference.inputs)))


def _renamed(case: Case, endpoint: Endpoint, pairs: Sequence[Pair], number: int) -> Case:
    """Return a case under the names and dtypes of the candidate."""
    dtypes = {t.name: "object" if t.dtype == "string" else t.dtype for t in endpoint.inputs}
    inputs = {p.candidate: case.inputs[p.reference].astype(dtypes[p.candidate]) for p in pairs}
    return _stored(Case(f"{case.name}@{number}", inputs, rows=case.rows), endpoint)


def _stored(case: Case, endpoint: Endpoint) -> Case:
    """Return a case with the inputs as the file takes them: quantised where it is."""
    parameters = {t.name: quantization_of(t) for t in endpoint.inputs}
    stored = {name: q.quantize(case.inputs[name]) for name, q in parameters.items() if q}
    return dataclasses.replace(case, inputs=case.inputs | stored)


def _rounded(case: Case, pairs: Sequence[Pair], reference: Endpoint, candidate: Endpoint) -> Case:
    """Return a case with the inputs rounded to what a quantised side can hold, so that both get the same numbers."""
    parameters = [{t.name: quantization_of(t) for t in endpoint.inputs} for endpoint in (reference, candidate)]
    inputs = dict(case.inputs)
    for pair in pairs:
        for quantization in (parameters[0][pair.reference], parameters[1][pair.candidate]):
            if quantization:
                inputs[pair.reference] = quantization.dequantize(quantization.quantize(inputs[pair.reference]))
    return dataclasses.replace(case, inputs=inputs)


def _run(description: Description, endpoints: Sequence[Endpoint], cases: Mapping[str, Sequence[Case]]) -> Run:
    runtime, environment = runtime_for(description.format), onednn.other_kernels()
    again_with = {runtime.name: environment} if environment and "tensorflow" in runtime.imports else {}
    stored = [as_stored(endpoint) for endpoint in endpoints]
    runs = run_artifact(description.path, description.format, stored, cases, [runtime], again_with)
    run = runs[runtime.name]
    for endpoint in endpoints:
        parameters = {t.name: q for t in endpoint.outputs if (q := quantization_of(t))}
        arrays = run.arrays.get(endpoint.name, {})
        arrays |= {k: q.dequantize(v) for k, v in arrays.items() if (q := parameters.get(k.split("/", 2)[2]))}
    return run


def _check_ran(description: Description, run: Run, endpoint: Endpoint) -> None:
    problem = run.problem or run.report.get("error")
    if problem is None and not run.arrays.get(endpoint.name):
        problem = next(iter(run.errors.get(endpoint.name, {}).values()), "no outputs")
    if problem:
        raise CheckFailed(f"{description.path} does not run: {problem}")


def _values(cases: Sequence[Case], arrays: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return the outputs by name, one array for each case; a case that raised has an empty one."""
    names = dict.fromkeys(key.split("/", 2)[2] for key in arrays if key.split("/", 2)[1] == "main")
    return {name: [arrays.get(f"{c.name}/main/{name}", np.empty(0)) for c in cases] for name in names}


def _score(
    values: Mapping[str, Sequence[np.ndarray]], others: Mapping[str, Sequence[np.ndarray]], pairs: Sequence[Pair]
) -> float:
    return max((distance(values[p.reference], others.get(p.candidate, ())) for p in pairs), default=0.0)
