"""What a comparison of two artifacts found, and how pairs of outputs are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from export.contract import Endpoint
from export.golden import Case
from export.matching import Pair
from export.measures import is_real, measure
from export.noise import steady
from export.parity import Policy, judge_energy, judge_output

SAME, RENAMED, DIFFERENT = "same", "same, renamed", "different"


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
        found, figure = _judge_pair(pair, cases, values, got, noisy, policy, bool({*classes} & {pair.reference}))
        figures[pair.reference] = figure
        result.findings += [f"{one.name or 'the model'}: {text}" for text in found[:3]]
    for kind, matched in (("input", pairs[0]), ("output", pairs[1])):
        result.notes += [
            f"{kind} {p.reference} of the reference is {p.candidate} of the candidate (by {p.how})"
            for p in matched
            if p.reference != p.candidate or p.how == "value"
        ]
    if jumps := [case.rows[i] for case in cases for i in case.unsteady]:
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


def _judge_pair(
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
        found += judge_output(dataclasses.replace(case, outputs={name: a}), name, b, floor, policy)
        if a.shape == b.shape and is_real(a) and is_real(b):
            pairs.append((steady(case, a), steady(case, b)))
            ordinary += [] if case.rows else pairs[-1:]
    if ordinary and not found and (problem := judge_energy(ordinary, floor, policy)):
        found.append(f"{name} {problem}")
    if not pairs:
        return found, {}
    return found, measure(pairs, policy.tolerance(floor, pairs[0][0].dtype), classes)
