"""Compare the outputs of a runtime with the reference, the contract and the other runs. NumPy only, no clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.contract import Tensor
from export.parity.distance import (
    difference_figures,
    is_leading,
    is_real,
    max_row_error,
    root_mean_squares,
    row_errors,
)
from export.parity.golden import Case
from export.parity.noise_floor import check_noise_floor, measure_noise_floor, stable_rows
from export.parity.policy import GoldenCase, Policy

if TYPE_CHECKING:
    from export.runtime.execution import Run

ROUNDING = 1e-3  # of probabilities, in float16
CONSTANT = 1e-6  # real rows that differ by less, in units of the row, are one answer


def compare_output(case: GoldenCase, output: str, value: np.ndarray, floor: float, policy: Policy) -> list[str]:
    """Return the differences of one output of one case as messages; empty if it is within tolerance.

    Class ids may differ where the scores of the two classes are tied within the tolerance of the scores.
    """
    reference, where = case.outputs[output], f"{output} in case {case.name}"
    if value.shape != reference.shape:
        return [f"{where} has shape {value.shape} instead of {reference.shape}"]
    if value.dtype != reference.dtype:
        return [f"{where} has dtype {value.dtype} instead of {reference.dtype}"]
    if not is_real(reference):
        wrong = reference != value
        scores = case.outputs.get(case.scores.get(output, ""))
        if scores is not None and wrong.any():
            noise = case.row_noise.get(case.scores[output])
            wrong &= ~is_leading(scores, value, policy.tolerances(floor, noise, scores.dtype, len(scores)))
        wrong = stable_rows(case, wrong)
        return [f"{where} differs in {int(wrong.sum())} of {wrong.size} values"] if wrong.any() else []
    tolerances = policy.tolerances(floor, case.row_noise.get(output), reference.dtype, len(reference))
    reference, value = stable_rows(case, reference), stable_rows(case, value)
    if not np.array_equal(np.isfinite(reference), np.isfinite(value)):
        return [f"{where} is not finite at other positions than the reference"]
    errors, tolerances = row_errors(reference, value), stable_rows(case, tolerances)
    if np.any(errors > tolerances):
        worst = int(np.argmax(errors / tolerances))
        row = int(stable_rows(case, np.arange(len(case.outputs[output])))[worst])
        name = f"row {row}" + (f" ({case.rows[row]})" if case.rows else "")
        return [f"{where} differs by {errors[worst]:.2g} in {name} (tolerance {tolerances[worst]:.2g})"]
    return []


def compare_rms(pairs: Sequence[tuple[np.ndarray, np.ndarray]], floor: float, policy: Policy) -> str | None:
    """Return a message if the root-mean-square difference over all ordinary cases is too large, else None."""
    signal, error = root_mean_squares(pairs)
    allowed = max(policy.rms * signal, policy.resolution, policy.multiple * floor * max(signal, 1.0))
    if error > allowed:
        return f"differs by {error:.2g} root mean square where the reference has {signal:.2g} (allowed {allowed:.2g})"
    return None


@dataclass(frozen=True)
class Verdict:
    """The result for one endpoint of one artifact in one runtime: figures, and messages if it failed."""

    figures: dict[str, Any]
    findings: list[str]


def compare_endpoint(
    cases: Sequence[GoldenCase],
    arrays: Mapping[str, np.ndarray],
    errors: Mapping[str, str],
    floor: Mapping[str, float],
    classes: frozenset[str] = frozenset(),
    policy: Policy | None = None,
    peaks: Mapping[str, float] | None = None,
) -> Verdict:
    """Compare one endpoint with the reference.

    Args:
        cases: Golden cases with the outputs of the reference.
        arrays: Outputs by "<case>/<variant>/<output>".
        errors: Error messages by "<case>/<variant>".
        floor: Noise floor by output.
        classes: Outputs whose last axis holds classes.
        policy: Tolerances.
        peaks: The width of the range of pixels, by output that is an image.
    """
    policy, peaks = policy or Policy(), peaks or {}
    figures: dict[str, Any] = {
        "outputs": {},
        "noise": measure_noise_floor(cases, arrays),
        "reported": _reported(cases, arrays, errors),
    }
    # instability comes first, because it explains differences from the reference
    findings = (
        check_errors(cases, errors) + check_repeatability(cases, arrays) + check_noise_floor(figures["noise"], policy)
    )
    for output in dict.fromkeys(name for case in cases for name in case.outputs):
        pairs, ordinary, messages = [], [], []
        for case in cases:
            value = arrays.get(f"{case.name}/main/{output}")
            if not case.compared or not case.outputs or (value is None and f"{case.name}/main" in errors):
                continue
            if value is None:
                messages.append(f"{output} in case {case.name} is missing")
                continue
            messages += compare_output(case, output, value, floor.get(case.scores.get(output, output), 0.0), policy)
            if value.shape == case.outputs[output].shape and is_real(value):
                pairs.append((stable_rows(case, case.outputs[output]), stable_rows(case, value)))
                ordinary += [] if case.rows else pairs[-1:]
        if ordinary and not messages:
            problem = compare_rms(ordinary, floor.get(output, 0.0), policy)
            messages += [f"{output} {problem}"] if problem else []
        if pairs:
            tolerance = policy.tolerance(floor.get(output, 0.0), pairs[0][0].dtype)
            figures["outputs"][output] = difference_figures(pairs, tolerance, output in classes, peaks.get(output))
        swapped = _swapped_output(cases, arrays, output, policy) if messages else None
        findings += [f"{output} is what {swapped} should be: outputs are swapped"] if swapped else messages
    return Verdict(figures, findings + _check_names(cases, arrays))


def _swapped_output(
    cases: Sequence[GoldenCase], arrays: Mapping[str, np.ndarray], output: str, policy: Policy
) -> str | None:
    """Return the output whose reference this output matches in every compared case, if there is one."""
    names = dict.fromkeys(name for case in cases for name in case.outputs if name != output)
    for name in names:
        pairs = [(c.outputs[name], arrays.get(f"{c.name}/main/{output}")) for c in cases if c.compared and c.outputs]
        if pairs and all(value is not None and max_row_error(a, value) <= policy.ceiling for a, value in pairs):
            return name
    return None


def check_errors(cases: Iterable[GoldenCase], errors: Mapping[str, str]) -> list[str]:
    """Report compared cases that raised, and cases that did not raise where the reference does."""
    messages = []
    for case in (case for case in cases if case.compared):
        errors_of_case = {key: text for key, text in errors.items() if key.partition("/")[0] == case.name}
        if not (case.may_raise and not case.outputs):
            messages += [f"case {key}: {text}" for key, text in errors_of_case.items()]
        elif f"{case.name}/main" not in errors_of_case:
            messages.append(f"case {case.name} returned outputs where the reference raises")
    return messages


def check_repeatability(cases: Iterable[GoldenCase], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Report outputs that differ between two identical calls, by as little as one bit."""
    messages = []
    for case in cases:
        for output in case.outputs:
            main, again = (arrays.get(f"{case.name}/{variant}/{output}") for variant in ("main", "again"))
            if main is None or again is None:
                continue
            if not np.array_equal(main, again, equal_nan=is_real(main)):
                messages.append(
                    f"two identical calls differ: {output} in case {case.name} by {max_row_error(main, again):.2g}"
                )
    return messages


def _check_names(cases: Iterable[GoldenCase], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Report outputs that are not in the contract."""
    names = {name for case in cases for name in case.outputs}
    extra = {key.split("/", 2)[2] for key in arrays} - names
    return [f"returned {', '.join(sorted(extra))}, which the contract does not declare"] if extra else []


def _reported(
    cases: Iterable[GoldenCase], arrays: Mapping[str, np.ndarray], errors: Mapping[str, str]
) -> dict[str, str]:
    """Return the outcome of the cases that runtimes do not define: "as reference", "other", or the error."""
    outcomes = {}
    for case in cases:
        if case.compared:
            continue
        if f"{case.name}/main" in errors:
            outcomes[case.name] = errors[f"{case.name}/main"]
        elif not case.outputs:
            outcomes[case.name] = "the reference raises"
        else:
            pairs = [(value, arrays.get(f"{case.name}/main/{name}")) for name, value in case.outputs.items()]
            is_equal = all(value is not None and max_row_error(a, value) <= Policy.ceiling for a, value in pairs)
            outcomes[case.name] = "as reference" if is_equal else "other"
    return outcomes


def pairwise_differences(
    runs: Mapping[tuple[str, str], Run], live: Run | None, cases: Mapping[str, Iterable[Case]]
) -> dict[str, dict[str, Any]]:
    """Return the largest difference between any two runs in units of the row, with the names of the two, by endpoint.

    Args:
        runs: Runs by (artifact path, runtime name), without quantised artifacts.
        live: The run of the live model, or None.
        cases: Golden cases by endpoint.
    """
    named_runs = {f"{path} in {runtime}": run for (path, runtime), run in runs.items()}
    named_runs |= {"live model": live} if live else {}
    differences = {}
    for endpoint, golden in cases.items():
        outputs = {name: run.arrays[endpoint] for name, run in named_runs.items() if run.arrays.get(endpoint)}
        worst = {"runs": len(outputs), "max_error": 0.0, "of": []}
        for case in (case for case in golden if case.compared):
            for output, reference in case.outputs.items():
                values = {name: arrays.get(f"{case.name}/main/{output}") for name, arrays in outputs.items()}
                values = {k: v for k, v in values.items() if v is not None and v.shape == reference.shape}
                if is_real(reference) and len(values) > 1:
                    values = {k: stable_rows(case, v) for k, v in values.items()}
                    error, names = _largest_difference(stable_rows(case, reference), values)
                    if error > worst["max_error"]:
                        worst |= {"max_error": error, "of": names}
        if len(outputs) > 1:
            differences[endpoint] = worst
    return differences


def _largest_difference(reference: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[float, list[str]]:
    """Return the largest difference of any two of the values, in units of the reference's row, and the two names."""
    if not reference.size:
        return 0.0, []
    stack = np.stack([v.astype(np.float64) for v in values.values()])
    stack = np.where(np.isfinite(stack), stack, 0.0)  # other non-finite positions are a failure already
    difference = stack.max(axis=0) - stack.min(axis=0)
    position = np.unravel_index(int(np.argmax(difference)), difference.shape)
    error = float(np.max(row_errors(reference, reference + difference), initial=0.0))
    names = list(values)
    return error, [
        names[int(np.argmin(stack[(slice(None), *position)]))],
        names[int(np.argmax(stack[(slice(None), *position)]))],
    ]


def contract_violations(cases: Sequence[Case], declared_tensors: Sequence[Tensor]) -> list[str]:
    """Report where the outputs of the live model differ from the contract."""
    messages = []
    for case in (c for c in cases if c.compared and c.outputs):
        if set(case.outputs) != {t.name for t in declared_tensors}:
            returned, declared = ", ".join(sorted(case.outputs)), ", ".join(t.name for t in declared_tensors)
            return [f"returns {returned} where the contract declares {declared}"]
        for tensor in declared_tensors:
            value = case.outputs[tensor.name]
            dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
            if dtype != tensor.dtype or not tensor.fits(value.shape):
                declared = f"{tensor.dtype} {tensor.shape}"
                messages.append(f"{tensor.name} is {dtype} {value.shape} where the contract declares {declared}")
    return list(dict.fromkeys(messages)) or _range_violations(cases, declared_tensors)


def _range_violations(cases: Sequence[Case], declared_tensors: Sequence[Tensor]) -> list[str]:
    """Report logits that are probabilities, to which clients would apply softmax again, and probabilities that are not.

    One row of logits may look like probabilities, but not every row, those of extreme inputs included.
    """
    messages = []
    for tensor in (t for t in declared_tensors if t.meaning in ("logits", "probabilities")):
        values = [c.outputs[tensor.name].astype(np.float64) for c in cases if c.compared and c.outputs]
        values = [value for value in values if value.size and np.isfinite(value).all()]
        in_range = all((np.abs(value - 0.5) <= 0.5 + ROUNDING).all() for value in values)
        sums_to_one = all((np.abs(value.sum(axis=-1) - 1) <= ROUNDING).all() for value in values)
        if tensor.meaning == "probabilities" and not in_range:
            messages.append(f"{tensor.name} has values outside [0, 1] where the contract declares probabilities")
        if tensor.meaning == "logits" and values and values[0].shape[-1] > 1 and in_range and sums_to_one:
            messages.append(
                f"every row of {tensor.name} lies in [0, 1] and sums to 1, as probabilities do, where the contract "
                "declares logits: remove the softmax of the last layer"
            )
    return messages


def count_other_answers(cases: Sequence[Case]) -> dict[str, tuple[int, int]]:
    """Return {output: (rows that are not the most frequent answer, all rows)} over the compared cases.

    The fewer rows differ from the most frequent answer, the less it means that two models agree. Rows of different
    shapes are counted apart; an output without a batch dimension is one row for each case.
    """
    rows: dict[str, dict[tuple[int, ...], list[np.ndarray]]] = {}
    for case in (c for c in cases if c.compared):
        size = len(next(iter(case.inputs.values())))
        for name, value in case.outputs.items():
            for row in value if value.ndim and len(value) == size else [value]:
                rows.setdefault(name, {}).setdefault(np.shape(row), []).append(np.asarray(row))
    return {
        name: (sum(map(_count_others, shapes.values())), sum(map(len, shapes.values())))
        for name, shapes in rows.items()
    }


def _count_others(rows: Sequence[np.ndarray]) -> int:
    """Return how many rows of one shape differ from the most frequent one; real numbers by more than rounding."""
    real = is_real(rows[0])
    keys = [(np.round(row, 5) + 0.0).tobytes() if real else repr(row.tolist()) for row in rows]
    frequent = keys.index(Counter(keys).most_common(1)[0][0])
    if not real:
        return sum(key != keys[frequent] for key in keys)
    return int(np.sum(row_errors(np.stack([rows[frequent]] * len(rows)), np.stack(rows)) >= CONSTANT))


def constant_outputs(cases: Sequence[Case]) -> list[str]:
    """Return the outputs that are constant over all inputs: comparing them is weak evidence."""
    return [name for name, (others, _) in count_other_answers(cases).items() if not others]
