"""The result of a comparison of two artifacts: what their outputs say about each pair of endpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from export.artifacts.matching import Pair
from export.artifacts.quantized import quantization_of
from export.contract import Endpoint, Tensor
from export.parity.comparison import compare_output, compare_rms, count_other_answers
from export.parity.distance import difference_figures, is_real
from export.parity.golden import Case
from export.parity.noise_floor import stable_rows
from export.parity.policy import Policy
from export.parity.quantization import BUDGETS, check_budget

MIN_OTHER_ANSWERS = 3  # rows that must differ from the most frequent answer before equal outputs are evidence
SAME, QUANTISED, RENAMED = "same", "same, quantised", "same, renamed"
UNDECIDED, INCOMPLETE = "undecided", "incomplete"
EXCHANGED, NOT_REPEATABLE, DIFFERENT = "exchanged", "not repeatable", "different"
EXIT_CODES = {  # a verdict is replaced by later ones only
    SAME: 0,
    QUANTISED: 0,
    RENAMED: 0,
    UNDECIDED: 3,
    INCOMPLETE: 1,
    EXCHANGED: 1,
    NOT_REPEATABLE: 1,
    DIFFERENT: 1,
}


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        reference: Path of the reference.
        candidate: Path of the candidate.
        verdict: The last of these that applies. "same"; "same, quantised": within the budget of int8; "same, renamed":
            equal values under other names; "undecided": equal outputs that are (almost) constant, or random ones, which
            are no evidence; "incomplete": the candidate lacks a signature; "exchanged": outputs of the same names have
            each other's values; "not repeatable": the candidate, unlike the reference, answers the same inputs
            otherwise in another call; or "different".
        endpoints: For each pair of endpoints: names, pairs of inputs and outputs and how they were matched, figures.
        notes: Remarks.
        findings: Why the verdict is not "same".
    """

    reference: str
    candidate: str
    verdict: str = SAME
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 0 for equal values, 3 where the outputs are no evidence, 1 for anything else."""
        return EXIT_CODES[self.verdict]

    def add(self, verdict: str, *findings: str) -> None:
        """Add findings; they replace a verdict that precedes theirs in `EXIT_CODES`."""
        self.findings += findings
        if findings:
            self.verdict = max(self.verdict, verdict, key=list(EXIT_CODES).index)

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        return asdict(self)


def add_endpoints(
    result: Comparison,
    reference: Endpoint,
    candidate: Endpoint,
    pairs: tuple[Sequence[Pair], Sequence[Pair]],
    cases: Sequence[Case],
    values: Mapping[str, Sequence[np.ndarray]],
    candidate_values: Mapping[str, Sequence[np.ndarray]],
    floor: Mapping[str, Mapping[str, float]],
    skipped: Collection[str] = (),
) -> None:
    """Add one pair of endpoints to the result; outputs in `skipped` are paired and not compared."""
    policy, figures, where = Policy(), {}, reference.name or "the model"
    is_quantised = any(
        map(quantization_of, (*reference.inputs, *reference.outputs, *candidate.inputs, *candidate.outputs))
    )
    answers = count_other_answers(cases)
    candidate_answers = count_other_answers(with_outputs(cases, candidate_values))
    classes = {t.name for t in (*reference.outputs, *candidate.outputs) if t.meaning in ("logits", "probabilities")}
    for pair in (p for p in pairs[1] if p.reference not in skipped):
        noise = [outputs.get(pair.reference, 0.0) for outputs in floor.values()]
        output_floor = max((value for value in noise if value <= policy.ceiling), default=0.0)
        tensors = _tensors(pair, reference, candidate)
        ranges = [(t.low, t.high) for t in tensors if quantization_of(t)] if is_quantised else None
        messages, figure = _compare_pair(
            pair, cases, values, candidate_values, output_floor, policy, bool({*classes} & {pair.reference}), ranges
        )
        figures[pair.reference] = figure
        result.add(DIFFERENT, *(f"{where}: {text}" for text in messages[:3]))
        if not messages:
            verdict, text = _evidence(pair, answers[pair.reference], candidate_answers[pair.candidate], reference)
            result.add(verdict, *([f"{where}: {text}"] if text else []))
    for kind, matched in (("input", pairs[0]), ("output", pairs[1])):
        result.notes += [
            f"{kind} {p.reference} of the reference is {p.candidate} of the candidate (by {p.how})"
            for p in matched
            if p.reference != p.candidate or p.how == "value"
        ]
    if unstable := [case.rows[i] for case in cases for i in case.unstable_rows]:
        result.notes.append(f"the reference is discontinuous at {', '.join(unstable)}, which is not compared")
    unpaired = [name for name in candidate_values if name not in {p.candidate for p in pairs[1]}]
    if unpaired:
        result.notes.append(f"the candidate also returns {', '.join(unpaired)}")
    if is_quantised:
        result.notes.append("quantised inputs and outputs are compared as real numbers, with the budget of int8")
        result.verdict = QUANTISED if result.verdict == SAME else result.verdict
    is_renamed = reference.name != candidate.name and reference.name and candidate.name  # a file may have no signature
    if is_renamed:
        result.notes.append(f"signature {reference.name} of the reference is {candidate.name} of the candidate")
    if result.verdict in (SAME, QUANTISED) and (is_renamed or any(p.reference != p.candidate for p in pairs[1])):
        result.verdict = RENAMED
    result.endpoints.append(
        {
            "reference": reference.name,
            "candidate": candidate.name,
            "inputs": [asdict(p) for p in pairs[0]],
            "outputs": [asdict(p) for p in pairs[1]],
            "figures": figures,
        }
    )


def _tensors(pair: Pair, reference: Endpoint, candidate: Endpoint) -> list[Tensor]:
    """Return the two outputs of a pair."""
    sides = ((reference, pair.reference), (candidate, pair.candidate))
    return [t for endpoint, name in sides for t in endpoint.outputs if t.name == name]


def _evidence(pair: Pair, one: tuple[int, int], other: tuple[int, int], reference: Endpoint) -> tuple[str, str | None]:
    """Return the verdict on two equal outputs, and why it is not "same".

    Args:
        pair: The two outputs.
        one: Rows of the reference that are not its most frequent answer, and all rows.
        other: The same of the candidate.
        reference: The endpoint of the reference.
    """
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
    cases: Sequence[Case],
    values: Mapping[str, Sequence[np.ndarray]],
    candidate_values: Mapping[str, Sequence[np.ndarray]],
    floor: float,
    policy: Policy,
    classes: bool,
    ranges: Sequence[tuple[float, float]] | None,
) -> tuple[list[str], dict[str, Any]]:
    """Return the differences of one output, and its figures.

    Values beyond `ranges`, which a quantised side can hold, count as their ends; None where no side is quantised.
    """
    name = pair.reference
    if pair.candidate not in candidate_values:
        return [f"the candidate does not return {pair.candidate}"], {}
    messages, pairs, ordinary = [], [], []
    for case, a, b in zip(cases, values[name], candidate_values[pair.candidate], strict=True):
        if is_real(a) and is_real(b) and a.dtype != b.dtype:  # compared in the lower precision
            coarser = min((a.dtype, b.dtype), key=lambda dtype: dtype.itemsize)
            a, b = a.astype(coarser), b.astype(coarser)
        elif a.dtype.kind in "iu" and b.dtype.kind in "iu":
            b = b.astype(a.dtype)
        for low, high in ranges or ():
            a, b = np.clip(a, low, high), np.clip(b, low, high)
        messages += compare_output(dataclasses.replace(case, outputs={name: a}), name, b, floor, policy)
        if a.shape == b.shape and is_real(a) and is_real(b):
            pairs.append((stable_rows(case, a), stable_rows(case, b)))
            ordinary += [] if case.rows else pairs[-1:]
    if ordinary and not messages and (problem := compare_rms(ordinary, floor, policy)):
        messages.append(f"{name} {problem}")
    if not pairs:
        return messages, {}
    is_finite = all(np.array_equal(np.isfinite(a), np.isfinite(b)) for a, b in pairs)
    if ranges is not None and messages and is_finite and len(pairs) == len(cases):
        typical = [pair for case, pair in zip(cases, pairs, strict=True) if case.name == "real"]
        _, messages = check_budget(name, typical or ordinary or pairs, classes, BUDGETS["int8"])
        messages += ["give --samples FILE.npz with typical inputs"] if messages and not typical else []
    return messages, difference_figures(pairs, policy.tolerance(floor, pairs[0][0].dtype), classes)


def with_outputs(cases: Sequence[Case], values: Mapping[str, Sequence[np.ndarray]]) -> list[Case]:
    """Return the cases with the outputs of `values`: one array by name for each case."""
    return [
        dataclasses.replace(case, outputs={name: arrays[number] for name, arrays in values.items()})
        for number, case in enumerate(cases)
    ]
