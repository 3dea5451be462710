"""Judge what a runtime returned against what the reference model returned. NumPy only, no files, no clocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from export.measures import energy, is_real, measure, row_errors, spread
from export.noise import judge_noise, noise, steady


@dataclass(frozen=True)
class Policy:
    """What counts as equal. Nobody widens it to turn a red green: find the layer.

    Attributes:
        relative: Largest difference, in units of the row (see the module).
        multiple: A measured noise floor may raise `relative` to this many times itself...
        ceiling: ...but a floor above this is no noise: the outputs depend on the batch, or eager and graph disagree.
        rms: Largest root-mean-square difference, as a part of the reference's root mean square (1e-3 is 60 dB). This
            sees a wrong model whose outputs are all much smaller than one.
        resolution: Root-mean-square difference that is always allowed: one float32 step at one.
        jump: A row of extreme values is not judged where two steps of the inputs move the reference by more than this.
    """

    relative: float = 1e-5
    multiple: float = 4.0
    ceiling: float = 1e-4
    rms: float = 1e-3
    resolution: float = 1.2e-7
    jump: float = 1e-2

    def tolerance(self, floor: float, dtype: np.dtype) -> float:
        """Return the largest allowed difference in units of the row: policy, or a multiple of the noise floor."""
        return max(self.relative, 4 * float(np.finfo(dtype).eps), self.multiple * floor)

    def tolerances(self, floor: float, noise: np.ndarray | None, dtype: np.dtype, rows: int) -> np.ndarray:
        """Return what each row is allowed, (rows,): a named row that moves by itself a multiple of that, too."""
        common = np.full(rows, self.tolerance(floor, dtype))
        return common if noise is None or len(noise) != rows else np.maximum(common, self.multiple * noise)

    def to_json(self) -> dict[str, float]:
        """Return the plain form that certificates hold."""
        return asdict(self)


class Judged(Protocol):
    """The part of a golden case that judging needs."""

    name: str
    judged: bool
    rows: tuple[str, ...]
    may_raise: bool
    outputs: Mapping[str, np.ndarray]
    unsteady: tuple[int, ...]
    row_noise: Mapping[str, np.ndarray]


def judge_output(case: Judged, output: str, value: np.ndarray, floor: float, policy: Policy) -> list[str]:
    """Return what is wrong with one output of one case, as sentences; empty if nothing is."""
    reference, where = case.outputs[output], f"{output} in case {case.name}"
    if value.shape != reference.shape:
        return [f"{where} has shape {value.shape} instead of {reference.shape}"]
    if value.dtype != reference.dtype:
        return [f"{where} has dtype {value.dtype} instead of {reference.dtype}"]
    allowed = (
        policy.tolerances(floor, case.row_noise.get(output), reference.dtype, len(reference))
        if is_real(reference)
        else None
    )
    reference, value = steady(case, reference), steady(case, value)
    if allowed is None:
        wrong = int(np.sum(reference != value))
        return [f"{where} differs in {wrong} of {reference.size} values"] if wrong else []
    if not np.array_equal(np.isfinite(reference), np.isfinite(value)):
        return [f"{where} is not finite in other places than the reference"]
    errors, allowed = row_errors(reference, value), steady(case, allowed)
    if np.any(errors > allowed):
        worst = int(np.argmax(errors / allowed))
        place = int(steady(case, np.arange(len(case.outputs[output])))[worst])
        name = f"row {place}" + (f" ({case.rows[place]})" if case.rows else "")
        return [f"{where} differs by {errors[worst]:.2g} in {name} (tolerance {allowed[worst]:.2g})"]
    return []


def judge_energy(pairs: Sequence[tuple[np.ndarray, np.ndarray]], floor: float, policy: Policy) -> str | None:
    """Return what is wrong with an output over all its ordinary cases, measured as noise against signal, or None."""
    signal, error = energy(pairs)
    allowed = max(policy.rms * signal, policy.resolution, policy.multiple * floor * max(signal, 1.0))
    if error > allowed:
        return f"differs by {error:.2g} root mean square where the reference has {signal:.2g} (allowed {allowed:.2g})"
    return None


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one endpoint of one artifact in one runtime: figures, and sentences if it failed."""

    figures: dict[str, Any]
    findings: list[str]


def judge_endpoint(
    cases: Sequence[Judged],
    arrays: Mapping[str, np.ndarray],
    errors: Mapping[str, str],
    floor: Mapping[str, float],
    classes: frozenset[str] = frozenset(),
    policy: Policy | None = None,
    peaks: Mapping[str, float] | None = None,
) -> Verdict:
    """Judge one endpoint.

    Args:
        cases: Golden cases with the outputs of the reference.
        arrays: What ran, by "<case>/<variant>/<output>".
        errors: What raised, by "<case>/<variant>".
        floor: Noise floor by output.
        classes: Outputs whose last axis holds classes.
        policy: What counts as equal.
        peaks: The width of the range of pixels, by output that is an image.
    """
    policy, peaks = policy or Policy(), peaks or {}
    figures: dict[str, Any] = {
        "outputs": {},
        "noise": noise(cases, arrays),
        "reported": _reported(cases, arrays, errors),
    }
    # what differs from itself comes first: it is why values differ from the reference
    findings = judge_errors(cases, errors) + judge_again(cases, arrays) + judge_noise(figures["noise"], policy)
    for output in dict.fromkeys(name for case in cases for name in case.outputs):
        pairs, ordinary, bad = [], [], []
        for case in cases:
            value = arrays.get(f"{case.name}/main/{output}")
            if not case.judged or not case.outputs or (value is None and f"{case.name}/main" in errors):
                continue
            if value is None:
                bad.append(f"{output} in case {case.name} is missing")
                continue
            bad += judge_output(case, output, value, floor.get(output, 0.0), policy)
            if value.shape == case.outputs[output].shape and is_real(value):
                pairs.append((steady(case, case.outputs[output]), steady(case, value)))
                ordinary += [] if case.rows else pairs[-1:]
        if ordinary and not bad:
            problem = judge_energy(ordinary, floor.get(output, 0.0), policy)
            bad += [f"{output} {problem}"] if problem else []
        if pairs:
            tolerance = policy.tolerance(floor.get(output, 0.0), pairs[0][0].dtype)
            figures["outputs"][output] = measure(pairs, tolerance, output in classes, peaks.get(output))
        other = _mistaken(cases, arrays, output, policy) if bad else None
        findings += [f"{output} is what {other} should be: outputs are swapped"] if other else bad
    return Verdict(figures, findings + _judge_names(cases, arrays))


def _mistaken(cases: Sequence[Judged], arrays: Mapping[str, np.ndarray], output: str, policy: Policy) -> str | None:
    """Return the output whose reference this output matches in every judged case, if there is one."""
    names = dict.fromkeys(name for case in cases for name in case.outputs if name != output)
    for name in names:
        pairs = [(c.outputs[name], arrays.get(f"{c.name}/main/{output}")) for c in cases if c.judged and c.outputs]
        if pairs and all(value is not None and spread(a, value) <= policy.ceiling for a, value in pairs):
            return name
    return None


def judge_errors(cases: Iterable[Judged], errors: Mapping[str, str]) -> list[str]:
    """Say which judged cases raised, and which did not where the reference raises."""
    found = []
    for case in (case for case in cases if case.judged):
        raised = {key: text for key, text in errors.items() if key.partition("/")[0] == case.name}
        if not (case.may_raise and not case.outputs):
            found += [f"case {key}: {text}" for key, text in raised.items()]
        elif f"{case.name}/main" not in raised:
            found.append(f"case {case.name} was answered where the reference raises")
    return found


def judge_again(cases: Iterable[Judged], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Say which outputs of two identical calls differ, by as little as one bit."""
    found = []
    for case in cases:
        for output in case.outputs:
            main, again = (arrays.get(f"{case.name}/{variant}/{output}") for variant in ("main", "again"))
            if main is None or again is None:
                continue
            if not np.array_equal(main, again, equal_nan=is_real(main)):
                found.append(f"two identical calls differ: {output} in case {case.name} by {spread(main, again):.2g}")
    return found


def _judge_names(cases: Iterable[Judged], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Say which outputs came that the contract does not know."""
    known = {name for case in cases for name in case.outputs}
    extra = {key.split("/", 2)[2] for key in arrays} - known
    return [f"returned {', '.join(sorted(extra))}, which the contract does not name"] if extra else []


def _reported(cases: Iterable[Judged], arrays: Mapping[str, np.ndarray], errors: Mapping[str, str]) -> dict[str, str]:
    """Say what came of the cases that no runtime defines: "as reference", "other", or the error."""
    found = {}
    for case in cases:
        if case.judged:
            continue
        if f"{case.name}/main" in errors:
            found[case.name] = errors[f"{case.name}/main"]
        elif not case.outputs:
            found[case.name] = "the reference raises"
        else:
            pairs = [(value, arrays.get(f"{case.name}/main/{name}")) for name, value in case.outputs.items()]
            same = all(value is not None and spread(a, value) <= Policy.ceiling for a, value in pairs)
            found[case.name] = "as reference" if same else "other"
    return found
