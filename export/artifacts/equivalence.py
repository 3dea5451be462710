"""Compare any two artifacts: run both on the same inputs, each in its own fresh process, and compare the outputs."""

import dataclasses
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import calling, check_confined, check_trusted, describe, reservations
from export.artifacts.matching import Pair, by_value, distance, match
from export.artifacts.operators import explain
from export.contract import Endpoint, Tensor
from export.contract.sampling import level_values
from export.formats import QUANTIZATIONS
from export.formats.format import Description, sentence
from export.parity import noise_floor
from export.parity.cases import GoldenCase
from export.parity.comparison import check_repeatability, compare_values, count_other_answers, stable_pairs
from export.parity.distance import is_real
from export.parity.golden import cases_for, check_samples
from export.parity.quantization import check_budget
from export.protocol import weight_sums
from export.protocol.arrays import Outputs
from export.protocol.runner import Runtime
from export.runtime import onednn
from export.runtime.execution import ArtifactRun, other_kernels_of
from zoobase.errors import FAILED, MISSING, CheckFailed, ExportError

MAX_INPUT_PAIRINGS = 24  # pairings of inputs that are tried where only values can choose
MORE_ROWS = 64  # drawn where the first inputs give no evidence
MIN_OTHER_ANSWERS = 3  # rows that must differ from the most frequent answer before equal outputs are evidence
SAME, QUANTIZED, RENAMED = "same", "same, quantised", "same, renamed"
UNDECIDED, INCOMPLETE = "undecided", "incomplete"
EXCHANGED, NOT_REPEATABLE, DIFFERENT = "exchanged", "not repeatable", "different"
MoreCases = Callable[[Description, Endpoint, Sequence[GoldenCase]], Sequence[GoldenCase]]
EXIT_CODES = {  # of several verdicts that apply, the last one counts
    SAME: 0,
    QUANTIZED: 0,
    RENAMED: 0,
    UNDECIDED: MISSING,
    INCOMPLETE: FAILED,
    EXCHANGED: FAILED,
    NOT_REPEATABLE: FAILED,
    DIFFERENT: FAILED,
}


@dataclass
class Comparison:
    """The result of a comparison.

    Its verdict is the last of these that applies. "same"; "same, quantised": within the budget of int8; "same,
    renamed": equal values under other names; "undecided": equal outputs that are (almost) constant, or random ones,
    which are no evidence; "incomplete": the candidate lacks a signature; "exchanged": outputs of the same names have
    each other's values; "not repeatable": the candidate, unlike the reference, answers the same inputs otherwise in
    another call; or "different".
    """

    reference: str  # path of the reference
    candidate: str  # path of the candidate
    # for each pair of endpoints: names, pairs of inputs and outputs and how they were matched, figures
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # remarks
    findings: list[str] = field(default_factory=list)  # why the verdict is not "same"
    verdicts: list[str] = field(default_factory=lambda: [SAME])  # all verdicts that apply
    # how many weights of the reference the candidate holds, by their values; None if they were not compared
    weights: dict[str, Any] | None = None
    tolerance: float = noise_floor.Policy.relative  # the stated one, in units of the row

    @property
    def policy(self) -> noise_floor.Policy:
        """The tolerances: of a row the stated one, of the root mean square at least that."""
        return noise_floor.Policy(relative=self.tolerance, rms=max(noise_floor.Policy.rms, self.tolerance))

    @property
    def verdict(self) -> str:
        """The last one of `EXIT_CODES` that applies."""
        return max(self.verdicts, key=list(EXIT_CODES).index)

    @property
    def exit_code(self) -> int:
        """Return 0 for equal values, 3 where the outputs are no evidence, 1 for anything else."""
        return EXIT_CODES[self.verdict]

    def add(self, verdict: str, *findings: str) -> None:
        """Add findings and the verdict that they have."""
        self.findings += findings
        self.verdicts += [verdict] if findings else []

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        keys = ("reference", "candidate", "verdict", "endpoints", "weights", "tolerance", "notes", "findings")
        return {key: getattr(self, key) for key in keys}


def compare(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    match: Mapping[str, str] | None = None,
    trust: Collection[str] = (),
    runtimes: Sequence[str] = (calling.CPU, calling.CPU),
    more_cases: MoreCases | None = None,
    weights: Callable[[Path], None] | None = None,
    tolerance: float = noise_floor.Policy.relative,
) -> Comparison:
    """Compare two artifacts of any format, also of third parties, or one in two runtimes.

    Inputs and outputs are paired by name, then by dtype and shape, and by value where this is ambiguous or where the
    values contradict the names; the result reports how each pair was matched.

    Args:
        reference: A .keras, .h5, .tflite or .onnx file, a SavedModel, or a base path of versions.
        candidate: Another artifact.
        samples: Real inputs (N, ...) by the names of the reference; generated where they are not given.
        match: {input or output of the reference: that of the candidate}, which takes precedence.
        trust: Operators that may run although they are not on the list of inference operators; "unconfined" runs where
            the kernel cannot confine the processes; "any" runs any artifact.
        runtimes: The runtime of each: "cpu" for the usual one of its format, "gpu", or a name. Where they compute
            otherwise, the first operator that differs is named.
        more_cases: Returns further inputs, from the reference, an endpoint of it and the generated inputs.
        weights: Writes the checksums of the weights of the reference to a folder, for a comparison by value.
        tolerance: The largest difference that is allowed, in units of the row: divided by the largest value of the row
            in the reference, or by one where that is smaller. The noise of the reference raises it.

    Raises:
        Unavailable: If an artifact or its runtime is not available.
        CheckFailed: If an artifact can execute code and is not trusted, or if it does not run.
        ExportError: If the two cannot take the same inputs, or `tolerance` is not between 0 and 1.

    Example:
        See examples/compare_two_files.py.
    """
    if not 0 < tolerance < 1:
        raise ExportError(f"a tolerance of {tolerance} is not between 0 and 1; it is a share of the values of a row")
    descriptions = [describe(Path(path)) for path in (reference, candidate)]
    for description in descriptions:
        check_trusted(description, trust)
        check_confined(description.path, trust)
    if len(runtimes) != len(descriptions):
        raise ExportError(f"{len(runtimes)} runtimes are named for two artifacts; give one for each, such as cpu,gpu")
    chosen = [calling.runtime_for(d.format, name) for d, name in zip(descriptions, runtimes, strict=True)]
    every = [calling.endpoints_of(description) for description in descriptions]
    endpoints = _pair_endpoints(*every)
    check_samples(samples or {}, (reference for reference, _ in endpoints))
    _check_requested(match or {}, endpoints)
    options = (samples or {}, match or {})
    result = _compare(descriptions, chosen, endpoints, *options, 0, more_cases, weights, tolerance)
    if result.verdict == UNDECIDED:
        result = _compare(descriptions, chosen, endpoints, *options, MORE_ROWS, more_cases, weights, tolerance)
    missing, additional = (
        [e.name for e in side if e not in paired]
        for side, paired in zip(every, zip(*endpoints, strict=True), strict=True)
    )
    result.add(INCOMPLETE, *(f"the candidate has no signature {name} of the reference" for name in missing))
    result.notes += [f"the candidate also has signature {name}" for name in additional]
    for side, description in zip(("reference", "candidate"), descriptions, strict=True):
        result.notes += [f"reservation: {side}: {sentence(*found)}" for found in reservations(description).items()]
    return dataclasses.replace(result, reference=str(reference), candidate=str(candidate))


def _compare(
    descriptions: Sequence[Description],
    runtimes: Sequence[Runtime],
    endpoints: Sequence[tuple[Endpoint, Endpoint]],
    samples: Mapping[str, np.ndarray],
    requested: Mapping[str, str],
    more_rows: int,
    more_cases: MoreCases | None,
    weights: Callable[[Path], None] | None,
    tolerance: float,
) -> Comparison:
    """Run and compare two artifacts, with `more_rows` further rows of input at many levels, and `more_cases`."""
    result = Comparison(*(str(description.path) for description in descriptions), tolerance=tolerance)
    pairs = [_prepare(descriptions, *pair, samples, requested, more_rows, more_cases) for pair in endpoints]
    inputs = (
        {p.reference.name: [_stored(case, p.reference) for case in p.cases] for p in pairs},
        {p.candidate.name: p.candidate_cases for p in pairs},
    )
    with ThreadPoolExecutor(2) as pool:
        endpoints_of_both = [p.reference for p in pairs], [p.candidate for p in pairs]
        runs = list(pool.map(_run, descriptions, runtimes, endpoints_of_both, inputs, (True, False), (None, weights)))
    for runtime, run in zip(runtimes, runs, strict=True):
        result.add(NOT_REPEATABLE, *run.report.get("findings", ()))
        result.notes += [f"{runtime.name}: {text}" for text in run.report.get("remarks", ())]
    result.weights = runs[1].report.get("weights")
    if result.weights:
        changed = [text for text in result.weights["findings"] if not text.endswith(weight_sums.ABSENT)]
        result.add(DIFFERENT, *(f"the candidate: {text}" for text in changed))
    for pair in pairs:
        _compare_endpoints(pair, descriptions, runtimes, runs, requested, result)
    return result


@dataclass(frozen=True)
class EndpointPair:
    """Two endpoints with the inputs of each."""

    reference: Endpoint
    candidate: Endpoint
    pairings: Sequence[Sequence[Pair]]  # possible pairings of their inputs
    cases: Sequence[GoldenCase]  # inputs of the reference
    candidate_cases: Sequence[GoldenCase]  # the same inputs under the names of the candidate, once for each pairing


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
    more_cases: MoreCases | None,
) -> EndpointPair:
    """Return two endpoints with their inputs: the same values for every possible pairing of inputs."""
    is_quantized = (
        len({tuple(map(calling.quantization_of, (*e.inputs, *e.outputs))) for e in (reference, candidate)}) > 1
    )
    reference, candidate = map(
        calling.as_real if is_quantized else calling.without_quantization, (reference, candidate)
    )
    requested = _requested_among(requested, reference.inputs, candidate.inputs)
    pairings = match(reference.inputs, candidate.inputs, requested)[:MAX_INPUT_PAIRINGS]
    reference = calling.with_samples(_with_candidate_ranges(reference, candidate, pairings[0]), samples)
    calling.check_samplable(reference, descriptions[0].path)
    size = math.lcm(reference.batch or 1, candidate.batch or 1)
    common = dataclasses.replace(reference, batch=size if size > 1 else None)
    cases = [case for case in cases_for(common, samples) if case.compared]
    if more_rows:
        rows = math.ceil(more_rows / size) * size
        cases.append(GoldenCase("levels", {t.name: level_values(t, rows) for t in common.inputs}))
    cases += more_cases(descriptions[0], common, cases) if more_cases else ()
    cases = [_rounded(case, pairings[0], reference, candidate) for case in cases]
    candidate_cases = [_renamed(case, candidate, pairs, n) for n, pairs in enumerate(pairings) for case in cases]
    return EndpointPair(reference, candidate, pairings, cases, candidate_cases)


def _compare_endpoints(
    endpoints: EndpointPair,
    descriptions: Sequence[Description],
    runtimes: Sequence[Runtime],
    runs: Sequence[ArtifactRun],
    requested: Mapping[str, str],
    result: Comparison,
) -> None:
    """Match the outputs of two endpoints and compare them."""
    reference, candidate = endpoints.reference, endpoints.candidate
    for description, run, endpoint in zip(descriptions, runs, (reference, candidate), strict=True):
        outputs = run.of(endpoint.name)
        if problem := run.failure or (None if outputs.arrays else outputs.first_error() or "no outputs"):
            raise CheckFailed(f"{description.path} does not run: {problem}")
    ours, theirs = runs[0].of(reference.name), runs[1].of(candidate.name)
    cases = [dataclasses.replace(case, outputs=_all_outputs(case.name, ours)) for case in endpoints.cases]
    for case in cases:
        case.unstable_rows = noise_floor.find_unstable_rows(case, ours, noise_floor.Policy())
        case.row_noise = noise_floor.measure_row_noise(case, ours, noise_floor.Policy())
    requested = _requested_among(requested, reference.outputs, candidate.outputs)
    pairs = match(reference.outputs, candidate.outputs, requested)[0]  # unknown shapes of Keras files match any
    values, scored = _values(cases, ours), []
    for number in range(len(endpoints.pairings)):
        candidate_values = _values(cases, theirs, f"@{number}")
        outputs = by_value(pairs, values, candidate_values)
        distances = (distance(values[p.reference], candidate_values.get(p.candidate, ())) for p in outputs)
        scored.append((max(distances, default=0.0), number, outputs))
    _, number, outputs = min(scored, key=lambda entry: entry[0])
    answers = [_under_reference_names(f"@{n}", outputs, theirs) for n in (0, number)]  # the first is called twice
    where = reference.name or "the model"
    for case in cases:
        texts = [side.error(case.name) for side in (ours, answers[-1])]
        if all(texts):
            result.notes.append(f"both raise in case {case.name}, which is not compared")
        elif any(texts):
            raising, other = ("reference", "candidate") if texts[0] else ("candidate", "reference")
            text = texts[0] or texts[1]
            result.add(DIFFERENT, f"{where}: the {raising} raises in case {case.name}, the {other} does not: {text}")
    cases = [case for case in cases if ours.error(case.name) is None and answers[-1].error(case.name) is None]
    if not cases:
        return
    floor = noise_floor.measure_noise_floor(cases, ours)
    random = [name for name in values if _unrepeatable(cases, name, ours)]
    for name in random:
        text = f"two identical calls of the reference differ in {name}, so it is not compared; fix its random seed"
        result.add(UNDECIDED, f"{where}: {text}")
    for name in (name for name in values if name not in random):
        messages = [text for side in answers for text in _unrepeatable(cases, name, side)]
        result.add(NOT_REPEATABLE, *(f"{where}: the candidate: {text}" for text in messages[:1]))
    if noise := noise_floor.check_noise_floor(floor, noise_floor.Policy()):
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
    unpaired = [name for name in theirs.names if name not in {pair.candidate for pair in outputs}]
    if unpaired:
        result.notes.append(f"the candidate also returns {', '.join(unpaired)}")
    pairings = endpoints.pairings[number], outputs
    _add_outputs(result, endpoints, pairings, cases, answers[-1], floor, random, runtimes[1].precision)
    if result.verdict == DIFFERENT and all(pair.reference == pair.candidate for pair in (*pairings[0], *outputs)):
        place = descriptions[1].path, descriptions[1].format, calling.as_stored(candidate)
        clause = explain(*place, [_stored(case, candidate) for case in cases], answers[-1], runtimes[1])
        result.add(DIFFERENT, *([f"{where}: {clause}"] if clause else []))


def _under_reference_names(suffix: str, pairs: Sequence[Pair], outputs: Outputs) -> Outputs:
    """Return what the candidate returned for one pairing of inputs, by the names of the reference."""
    names = {pair.candidate: pair.reference for pair in pairs}
    arrays = {
        (case.removesuffix(suffix), variant, names[output]): value
        for (case, variant, output), value in outputs.arrays.items()
        if case.endswith(suffix) and output in names
    }
    raised = {key: text for key, text in outputs.errors.items() if key[0].endswith(suffix)}
    return Outputs(arrays, {(case.removesuffix(suffix), variant): text for (case, variant), text in raised.items()})


def _unrepeatable(cases: Sequence[GoldenCase], output: str, outputs: Outputs) -> list[str]:
    """Return where an output differs between two identical calls."""
    return check_repeatability(
        [dataclasses.replace(case, outputs={output: case.outputs[output]}) for case in cases], outputs
    )


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

    def completed(tensor: Tensor) -> Tensor:
        partner = partners[tensor.name]
        if partner.high is not None and (tensor.high is None or tensor.meaning == "tensor"):
            tensor = calling.with_facts(tensor, partner)
        if tensor.shape and partner.shape:
            sizes = [b if a is None else a for a, b in zip(tensor.shape[1:], partner.shape[1:], strict=True)]
            tensor = dataclasses.replace(tensor, shape=(tensor.shape[0], *sizes))
        return tensor

    return dataclasses.replace(reference, inputs=tuple(map(completed, reference.inputs)))


def _renamed(case: GoldenCase, endpoint: Endpoint, pairs: Sequence[Pair], number: int) -> GoldenCase:
    """Return a case under the names and dtypes of the candidate."""
    tensors = {t.name: t for t in endpoint.inputs}
    inputs = {p.candidate: tensors[p.candidate].array(case.inputs[p.reference]) for p in pairs}
    return _stored(GoldenCase(f"{case.name}@{number}", inputs, rows=case.rows), endpoint)


def _stored(case: GoldenCase, endpoint: Endpoint) -> GoldenCase:
    """Return a case with the inputs as the file takes them: quantised where it is."""
    parameters = {t.name: calling.quantization_of(t) for t in endpoint.inputs}
    stored = {name: q.quantize(case.inputs[name]) for name, q in parameters.items() if q}
    return dataclasses.replace(case, inputs=case.inputs | stored)


def _rounded(case: GoldenCase, pairs: Sequence[Pair], reference: Endpoint, candidate: Endpoint) -> GoldenCase:
    """Return a case with the inputs rounded to what a quantised side can hold, so that both get the same numbers."""
    parameters = [{t.name: calling.quantization_of(t) for t in endpoint.inputs} for endpoint in (reference, candidate)]
    inputs = dict(case.inputs)
    for pair in pairs:
        for quantization in (parameters[0][pair.reference], parameters[1][pair.candidate]):
            if quantization:
                inputs[pair.reference] = quantization.dequantize(quantization.quantize(inputs[pair.reference]))
    return dataclasses.replace(case, inputs=inputs)


def _run(
    description: Description,
    runtime: Runtime,
    endpoints: Sequence[Endpoint],
    cases: Mapping[str, Sequence[GoldenCase]],
    is_reference: bool,
    weights: Callable[[Path], None] | None,
) -> ArtifactRun:
    """Run an artifact; the reference also with TensorFlow's other kernels, for its noise floor."""
    environment = onednn.other_kernels()
    stored = [calling.as_stored(endpoint) for endpoint in endpoints]

    def run_with(changes: Mapping[str, str] | None = None) -> ArtifactRun:
        runs = calling.run_artifact(description.path, description.format, stored, cases, [runtime], changes, weights)
        return runs[runtime.name]

    run = run_with()
    if is_reference and environment and "tensorflow" in runtime.process.imports and not run.failure:
        for endpoint, outputs in other_kernels_of(run, run_with(environment)).items():
            run.of(endpoint).arrays |= outputs.arrays
    for endpoint in endpoints:
        parameters = {t.name: q for t in endpoint.outputs if (q := calling.quantization_of(t))}
        arrays = run.of(endpoint.name).arrays
        arrays |= {key: parameters[key[2]].dequantize(v) for key, v in arrays.items() if key[2] in parameters}
    return run


def _all_outputs(case: str, outputs: Outputs) -> dict[str, np.ndarray]:
    """Return every output of a case by name; of a case that raised empty arrays."""
    return dict.fromkeys(outputs.names, np.empty(0)) | outputs.of(case)


def _values(cases: Sequence[GoldenCase], outputs: Outputs, suffix: str = "") -> dict[str, list[np.ndarray]]:
    """Return the outputs by name, one array for each case."""
    of_cases = [_all_outputs(f"{case.name}{suffix}", outputs) for case in cases]
    return {name: [of_case[name] for of_case in of_cases] for name in outputs.names}


def _add_outputs(
    result: Comparison,
    endpoints: EndpointPair,
    pairs: tuple[Sequence[Pair], Sequence[Pair]],
    cases: Sequence[GoldenCase],
    answers: Outputs,
    floor: Mapping[str, Mapping[str, float]],
    skipped: Collection[str],
    precision: str | None,
) -> None:
    """Add the comparison of the outputs of two endpoints to the result, but for those that are `skipped`."""
    policy, figures, reference, candidate = result.policy, {}, endpoints.reference, endpoints.candidate
    where = reference.name or "the model"
    tensors = (*reference.inputs, *reference.outputs, *candidate.inputs, *candidate.outputs)
    is_quantized = any(map(calling.quantization_of, tensors))
    others = [
        count_other_answers(side)
        for side in (cases, [dataclasses.replace(case, outputs=answers.of(case.name)) for case in cases])
    ]
    classes = {t.name for t in (*reference.outputs, *candidate.outputs) if t.meaning in ("logits", "probabilities")}
    for pair in (p for p in pairs[1] if p.reference not in skipped):
        noise = [outputs.get(pair.reference, 0.0) for outputs in floor.values()]
        output_floor = max((value for value in noise if value <= policy.ceiling), default=0.0)
        sides = ((reference, pair.reference), (candidate, pair.candidate))
        tensors = [t for endpoint, name in sides for t in endpoint.outputs if t.name == name]
        ranges = [(t.low, t.high) for t in tensors if calling.quantization_of(t)]
        form = "int8" if is_quantized else precision
        messages, figures[pair.reference] = _compare_pair(
            pair, cases, answers, output_floor, policy, pair.reference in classes, ranges, form
        )
        result.add(DIFFERENT, *(f"{where}: {text}" for text in messages[:3]))
        if not messages:
            verdict, text = _evidence(pair, *(side[pair.reference] for side in others), reference)
            result.add(verdict, *([f"{where}: {text}"] if text else []))
    for kind, matched in (("input", pairs[0]), ("output", pairs[1])):
        result.notes += [
            f"{kind} {p.reference} of the reference is {p.candidate} of the candidate (by {p.how})"
            for p in matched
            if p.reference != p.candidate or p.how == "value"
        ]
    if unstable := [name for case in cases for name in case.unstable_names()]:
        result.notes.append(f"the reference is discontinuous at {', '.join(unstable)}, which is not compared")
    if is_quantized:
        result.notes.append("quantised inputs and outputs are compared as real numbers, with the budget of int8")
        result.verdicts.append(QUANTIZED)
    elif precision:
        result.notes.append(f"the candidate is not computed in float32: it is compared with the budget of {precision}")
        result.verdicts.append(QUANTIZED)
    is_renamed = reference.name != candidate.name and reference.name and candidate.name  # a file may have no signature
    if is_renamed:
        result.notes.append(f"signature {reference.name} of the reference is {candidate.name} of the candidate")
    if is_renamed or any(p.reference != p.candidate for p in pairs[1]):
        result.verdicts.append(RENAMED)
    sides = {"inputs": pairs[0], "outputs": pairs[1]}
    result.endpoints.append(
        {"reference": reference.name, "candidate": candidate.name}
        | {kind: [asdict(pair) for pair in matched] for kind, matched in sides.items()}
        | {"figures": figures, "noise_floor": floor}
    )


def _evidence(pair: Pair, one: tuple[int, int], other: tuple[int, int], reference: Endpoint) -> tuple[str, str | None]:
    """Return the verdict on two equal outputs, and why it is not "same"; `one` and `other` count answers."""
    if bool(one[0]) != bool(other[0]):
        side = "candidate" if one[0] else "reference"
        return DIFFERENT, f"{pair.reference} is the same for every input only in the {side}"
    if max(one[0], other[0]) < MIN_OTHER_ANSWERS:
        names = ", ".join(t.name for t in reference.inputs)
        return UNDECIDED, (
            f"{pair.reference} is the same for {one[1] - one[0]} of {one[1]} inputs in both, so equal values are no "
            f"evidence; give --samples FILE.npz with inputs ({names}) for which it differs"
        )
    return SAME, None


def _compare_pair(
    pair: Pair,
    cases: Sequence[GoldenCase],
    answers: Outputs,
    floor: float,
    policy: noise_floor.Policy,
    classes: bool,
    ranges: Sequence[tuple[float, float]],
    form: str | None,
) -> tuple[list[str], dict[str, Any]]:
    """Return the differences and figures of one output; values are clipped to `ranges` of a quantised side."""
    # `form` is the quantised form by whose budget they are compared.
    name = pair.reference
    if name not in answers.names:
        return [f"the candidate does not return {pair.candidate}"], {}
    values = []
    for case in cases:
        a, b = case.outputs[name], answers.get(case.name, name)
        if is_real(a) and is_real(b) and a.dtype != b.dtype:  # compared in the lower precision
            coarser = min((a.dtype, b.dtype), key=lambda dtype: dtype.itemsize)
            a, b = a.astype(coarser), b.astype(coarser)
        elif a.dtype.kind in "iu" and b.dtype.kind in "iu":
            b = b.astype(a.dtype)
        for low, high in ranges:
            a, b = np.clip(a, low, high), np.clip(b, low, high)
        values.append((dataclasses.replace(case, outputs={name: a}), b))
    messages, figures = compare_values(name, values, floor, policy, classes)
    real = stable_pairs(name, values)
    if form and messages and not real and all(case.outputs[name].shape == value.shape for case, value in values):
        share = np.mean(np.concatenate([(case.outputs[name] == value).ravel() for case, value in values]))
        messages = messages if share < QUANTIZATIONS[form].budget.top1 else []
    is_finite = all(np.array_equal(np.isfinite(a), np.isfinite(b)) for _, a, b in real)
    if form and messages and is_finite and len(real) == len(cases):
        typical = [(a, b) for case, a, b in real if case.name == "real"]
        ordinary = [(a, b) for case, a, b in real if not case.rows]
        everything = [(a, b) for _, a, b in real]
        _, messages = check_budget(name, typical or ordinary or everything, classes, QUANTIZATIONS[form].budget)
        messages += ["give --samples FILE.npz with typical inputs"] if messages and not typical and ranges else []
    return messages, figures
