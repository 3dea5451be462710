"""Judge what a runtime returned against the reference, the contract and the other runs. NumPy only, no clocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.contract import Tensor
from export.parity.distance import energy, is_real, measure, row_errors, spread
from export.parity.golden import Case
from export.parity.noise_floor import judge_noise, noise, steady
from export.parity.policy import Judged, Policy

if TYPE_CHECKING:
    from export.runtime.execution import Run


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


def between(
    runs: Mapping[tuple[str, str], Run], live: Run | None, cases: Mapping[str, Iterable[Case]]
) -> dict[str, dict[str, Any]]:
    """Return the largest difference between any two runs, in units of the row, and which two they are, by endpoint.

    Args:
        runs: By (artifact path, runtime name); no quantised ones.
        live: The live model where it is at hand.
        cases: Golden cases by endpoint.
    """
    named = {f"{path} in {runtime}": run for (path, runtime), run in runs.items()}
    named |= {"live model": live} if live else {}
    found = {}
    for endpoint, golden in cases.items():
        ran = {name: run.arrays[endpoint] for name, run in named.items() if run.arrays.get(endpoint)}
        worst = {"runs": len(ran), "max_error": 0.0, "of": []}
        for case in (case for case in golden if case.judged):
            for output, reference in case.outputs.items():
                values = {name: arrays.get(f"{case.name}/main/{output}") for name, arrays in ran.items()}
                values = {k: v for k, v in values.items() if v is not None and v.shape == reference.shape}
                if is_real(reference) and len(values) > 1:
                    values = {k: steady(case, v) for k, v in values.items()}
                    error, of = _widest(steady(case, reference), values)
                    if error > worst["max_error"]:
                        worst |= {"max_error": error, "of": of}
        if len(ran) > 1:
            found[endpoint] = worst
    return found


def _widest(reference: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[float, list[str]]:
    """Return the largest difference of any two of the values, in units of the reference's row, and the two names."""
    if not reference.size:
        return 0.0, []
    stack = np.stack([v.astype(np.float64) for v in values.values()])
    stack = np.where(np.isfinite(stack), stack, 0.0)  # another set of finite places is a failure already
    apart = stack.max(axis=0) - stack.min(axis=0)
    place = np.unravel_index(int(np.argmax(apart)), apart.shape)
    error = float(np.max(row_errors(reference, reference + apart), initial=0.0))
    names = list(values)
    return error, [
        names[int(np.argmin(stack[(slice(None), *place)]))],
        names[int(np.argmax(stack[(slice(None), *place)]))],
    ]


def broken_promises(cases: Sequence[Case], outputs: Sequence[Tensor]) -> list[str]:
    """Say where the live model returns something else than the contract promises."""
    found = []
    for case in (c for c in cases if c.judged and c.outputs):
        if set(case.outputs) != {t.name for t in outputs}:
            returned, promised = ", ".join(sorted(case.outputs)), ", ".join(t.name for t in outputs)
            return [f"returns {returned} where the contract promises {promised}"]
        for tensor in outputs:
            value = case.outputs[tensor.name]
            dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
            fits = len(value.shape) == len(tensor.shape) and all(
                w in (None, s) for w, s in zip(tensor.shape[1:], value.shape[1:], strict=True)
            )
            if dtype != tensor.dtype or not fits:
                promised = f"{tensor.dtype} {tensor.shape}"
                found.append(f"{tensor.name} is {dtype} {value.shape} where the contract promises {promised}")
    return list(dict.fromkeys(found))


def constant_outputs(cases: Sequence[Case]) -> list[str]:
    """Return the outputs that are the same for every input, so that comparing them proves little."""
    rows: dict[str, list[np.ndarray]] = {}
    for case in (c for c in cases if c.judged):
        for name, value in case.outputs.items():
            if is_real(value) and value.ndim > 1:
                rows.setdefault(name, []).extend(value)
    same = {name: [r for r in found if r.shape == found[0].shape] for name, found in rows.items()}
    return [name for name, found in same.items() if spread(np.stack(found), np.stack([found[0]] * len(found))) < 1e-6]
