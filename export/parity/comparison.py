"""Compare what an artifact returned with the reference, the contract and the other runs. NumPy only, no clocks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from export.contract import Tensor
from export.parity.cases import GoldenCase, output_names
from export.parity.distance import difference_figures, is_leading, is_real, max_row_error, root_mean_squares, row_errors
from export.parity.noise_floor import Policy, check_noise_floor, measure_noise_floor
from export.protocol.arrays import Outputs

ROUNDING = 1e-3  # of probabilities, in float16
CONSTANT = 1e-6  # real rows that differ by less, in units of the row, are one answer


def compare_output(case: GoldenCase, output: str, value: np.ndarray, floor: float, policy: Policy) -> list[str]:
    """Return the differences of one output of one case as messages; `floor` is that of it, or of its scores."""
    # Class ids may differ where the scores of the two classes are tied within the tolerance of the scores.
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
        wrong = case.stable(wrong)
        return [f"{where} differs in {int(wrong.sum())} of {wrong.size} values"] if wrong.any() else []
    rows, reference, value = len(reference), case.stable(reference), case.stable(value)
    if not np.array_equal(np.isfinite(reference), np.isfinite(value)):
        return [f"{where} is not finite at other positions than the reference"]
    error, tolerance, row = _nearest_row(case, output, reference, value, floor, policy)
    if error > tolerance:
        return [f"{where} differs by {error:.2g} in {case.row_name(row, rows)} (tolerance {tolerance:.2g})"]
    return []


def _nearest_row(
    case: GoldenCase, output: str, reference: np.ndarray, value: np.ndarray, floor: float, policy: Policy
) -> tuple[float, float, int]:
    """Return difference, tolerance and number of the compared row that is nearest to its tolerance."""
    count = len(case.outputs[output])
    tolerances = case.stable(policy.tolerances(floor, case.row_noise.get(output), reference.dtype, count))
    if not len(tolerances):
        return 0.0, policy.tolerance(floor, reference.dtype), 0
    errors = row_errors(reference, value)
    row = int(np.argmax(errors / tolerances))
    return float(errors[row]), float(tolerances[row]), row


def compare_rms(pairs: Sequence[tuple[np.ndarray, np.ndarray]], floor: float, policy: Policy) -> str | None:
    """Return a message if the root-mean-square difference over all ordinary cases is too large, else None."""
    signal, error = root_mean_squares(pairs)
    allowed = max(policy.rms * signal, policy.resolution, policy.multiple * floor * max(signal, 1.0))
    if error > allowed:
        return f"differs by {error:.2g} root mean square where the reference has {signal:.2g} (allowed {allowed:.2g})"
    return None


def stable_pairs(
    output: str, values: Sequence[tuple[GoldenCase, np.ndarray]]
) -> list[tuple[GoldenCase, np.ndarray, np.ndarray]]:
    """Return (case, reference, value) of the compared rows of a real output, where the shapes are equal."""
    return [
        (case, case.stable(case.outputs[output]), case.stable(value))
        for case, value in values
        if value.shape == case.outputs[output].shape and is_real(value) and is_real(case.outputs[output])
    ]


def compare_values(
    output: str,
    values: Sequence[tuple[GoldenCase, np.ndarray]],
    floor: float,
    policy: Policy,
    classes: bool = False,
    peak: float | None = None,
) -> tuple[list[str], dict[str, Any]]:
    """Return the differences of one output over all cases as messages, and its figures."""
    # `classes`: the last axis holds classes; `peak`: the width of the range of pixels, if the output is an image.
    messages = [text for case, value in values for text in compare_output(case, output, value, floor, policy)]
    real = stable_pairs(output, values)
    ordinary = [(reference, value) for case, reference, value in real if not case.rows]
    if ordinary and not messages and (problem := compare_rms(ordinary, floor, policy)):
        messages = [f"{output} {problem}"]
    if not real:
        return messages, {}
    pairs = [(reference, value) for _, reference, value in real]
    nearest = [_nearest_row(case, output, *arrays, floor, policy) for case, *arrays in real]
    error, tolerance, _ = max(nearest, key=lambda found: found[0] / found[1])
    figures = difference_figures(pairs, policy.tolerance(floor, pairs[0][0].dtype), classes, peak)
    return messages, figures | {"max_error": error, "tolerance": tolerance}


@dataclass(frozen=True)
class EndpointComparison:
    """The comparison of one endpoint of one artifact in one runtime: figures, messages if it failed, and remarks."""

    figures: dict[str, Any]
    findings: list[str]
    notes: list[str] = field(default_factory=list)


def compare_endpoint(
    cases: Sequence[GoldenCase],
    outputs: Outputs,
    floor: Mapping[str, float],
    classes: frozenset[str] = frozenset(),
    policy: Policy | None = None,
    peaks: Mapping[str, float] | None = None,
) -> EndpointComparison:
    """Compare one endpoint with the reference; `floor`, `classes` and `peaks` as of `compare_values`, by output."""
    policy, peaks = policy or Policy(), peaks or {}
    noise = measure_noise_floor(cases, outputs)
    figures: dict[str, Any] = {"outputs": {}, "noise": noise, "reported": _reported(cases, outputs)}
    # instability comes first, because it explains differences from the reference
    findings = check_errors(cases, outputs) + check_repeatability(cases, outputs) + check_noise_floor(noise, policy)
    compared = [case for case in cases if case.compared and case.outputs]
    for output in output_names(cases):
        of_cases = [(case, outputs.get(case.name, output)) for case in compared]
        absent = [case for case, value in of_cases if value is None and outputs.error(case.name) is None]
        messages, figure = compare_values(
            output,
            [(case, value) for case, value in of_cases if value is not None],
            max((floor.get(case.scores.get(output, output), 0.0) for case in compared), default=0.0),
            policy,
            output in classes,
            peaks.get(output),
        )
        messages = [f"{output} in case {case.name} is missing" for case in absent] + messages
        figures["outputs"] |= {output: figure} if figure else {}
        swapped = _swapped_output(compared, outputs, output, policy) if messages else None
        findings += [f"{output} is what {swapped} should be: outputs are swapped"] if swapped else messages
    if extra := sorted(set(outputs.names) - set(output_names(cases))):
        findings.append(f"returned {', '.join(extra)}, which the contract does not declare")
    return EndpointComparison(figures, findings)


def _swapped_output(cases: Sequence[GoldenCase], outputs: Outputs, output: str, policy: Policy) -> str | None:
    """Return the output whose reference this output matches in every case, if there is one."""
    for name in output_names(cases):
        pairs = [(case.outputs[name], outputs.get(case.name, output)) for case in cases]
        if name != output and all(b is not None and max_row_error(a, b) <= policy.ceiling for a, b in pairs):
            return name
    return None


def check_errors(cases: Iterable[GoldenCase], outputs: Outputs) -> list[str]:
    """Report compared cases that raised, and cases that did not raise where the reference does."""
    messages = []
    for case in (case for case in cases if case.compared):
        if not (case.may_raise and not case.outputs):
            messages += [
                f"case {c}/{variant}: {text}" for (c, variant), text in outputs.errors.items() if c == case.name
            ]
        elif outputs.error(case.name) is None:
            messages.append(f"case {case.name} returned outputs where the reference raises")
    return messages


def check_repeatability(cases: Iterable[GoldenCase], outputs: Outputs) -> list[str]:
    """Report outputs that differ between two identical calls, by as little as one bit."""
    messages = []
    for case in cases:
        for output in case.outputs:
            main, again = (outputs.get(case.name, output, variant) for variant in ("main", "again"))
            if main is None or again is None:
                continue
            if not np.array_equal(main, again, equal_nan=is_real(main)):
                messages.append(
                    f"two identical calls differ: {output} in case {case.name} by {max_row_error(main, again):.2g}"
                )
    return messages


def _reported(cases: Iterable[GoldenCase], outputs: Outputs) -> dict[str, str]:
    """Return the outcome of the cases that runtimes do not define: "as reference", "other", or the error."""
    outcomes = {}
    for case in (case for case in cases if not case.compared):
        if error := outputs.error(case.name):
            outcomes[case.name] = error
        elif not case.outputs:
            outcomes[case.name] = "the reference raises"
        else:
            pairs = [(value, outputs.get(case.name, name)) for name, value in case.outputs.items()]
            is_equal = all(value is not None and max_row_error(a, value) <= Policy.ceiling for a, value in pairs)
            outcomes[case.name] = "as reference" if is_equal else "other"
    return outcomes


def numbers_for_nan(cases: Iterable[GoldenCase], outputs: Outputs) -> list[str]:
    """Return the real outputs that are numbers where the reference returns NaN."""
    pairs = [(name, a, outputs.get(c.name, name)) for c in cases for name, a in c.outputs.items() if is_real(a)]
    same = [(name, a, b) for name, a, b in pairs if b is not None and a.shape == b.shape and is_real(b)]
    return list(dict.fromkeys(name for name, a, b in same if np.any(np.isnan(a) & ~np.isnan(b))))


def exact_differences(expected: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], what: str) -> Iterator[str]:
    """Yield a message for every array that was not decoded from `what` exactly as it was."""
    if set(expected) != set(values):
        yield f"a {what} with {', '.join(sorted(expected))} is decoded with {', '.join(sorted(values))}"
        return
    for name, array in expected.items():
        if array.shape != values[name].shape:
            yield f"{name} of shape {array.shape} is decoded from a {what} as {values[name].shape}"
        elif not np.array_equal(array, values[name], equal_nan=array.dtype.kind == "f"):
            yield f"{name} is decoded from a {what} with other values"


def contract_violations(cases: Sequence[GoldenCase], declared_tensors: Sequence[Tensor]) -> list[str]:
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


def _range_violations(cases: Sequence[GoldenCase], declared_tensors: Sequence[Tensor]) -> list[str]:
    """Report logits that are probabilities, to which clients would apply softmax again, and the reverse."""
    # One row of logits may look like probabilities, but not every row, those of extreme inputs included.
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


def count_other_answers(cases: Sequence[GoldenCase]) -> dict[str, tuple[int, int]]:
    """Return {output: (rows that are not the most frequent answer, all rows)} over the compared cases."""
    # The fewer rows differ from the most frequent answer, the less agreement means. Rows of each shape apart.
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


def constant_outputs(cases: Sequence[GoldenCase]) -> list[str]:
    """Return the outputs that are constant over all inputs: comparing them is weak evidence."""
    return [name for name, (others, _) in count_other_answers(cases).items() if not others]
