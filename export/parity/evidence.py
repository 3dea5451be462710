"""Whether golden outputs are evidence: constant outputs are none, and NaN on legal inputs is no number. NumPy only."""

from collections.abc import Mapping, Sequence

import numpy as np

from export.contract import Contract
from export.parity.cases import GoldenCase, output_names
from export.parity.comparison import CONSTANT, constant_outputs
from export.parity.distance import is_real

WEAK = "the same for every input"


def check_evidence(contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> tuple[list[str], list[str]]:
    """Return (messages of failures, notes) about the outputs of the reference."""
    # The contract promises numbers for floating-point outputs: NaN on legal inputs, infinity on ordinary ones, or the
    # same value for every input fail. Integers and strings may be constant; infinity on extreme inputs is noted.
    failures, notes = [], []
    for endpoint in contract.endpoints:
        golden = [case for case in cases[endpoint.name] if case.compared and case.outputs]
        where, constants = f"of {endpoint.name}", constant_outputs(golden)
        for name in output_names(golden):
            values = [(case, case.outputs[name]) for case in golden]
            if not is_real(values[0][1]):
                notes += [f"{name} {where} is {WEAK}"] if name in constants else []
                continue
            not_numbers, infinities = _where(values, np.isnan), _where(values, np.isinf)
            failures += [f"{name} {where} is NaN on legal inputs: {not_numbers}"] if not_numbers else []
            in_ordinary = any(np.isinf(value).any() for case, value in values if not case.rows)
            (failures if in_ordinary else notes).extend(
                [f"{name} {where} is infinite on legal inputs: {infinities}"] if infinities else []
            )
            if name in constants:
                failures.append(
                    f"{name} {where} is {WEAK}, so nothing is proven about it; give real inputs (--samples)"
                )
            elif columns := _constant_columns([value for _, value in values]):
                notes.append(f"{columns} of {name} {where} are {WEAK}")
    return failures, notes


def _where(values: Sequence[tuple[GoldenCase, np.ndarray]], test: np.ufunc) -> str:
    """Return in which columns or rows a test holds, as text; empty if in none."""
    stable = [(case, case.stable(test(value))) for case, value in values]
    flat = [mask.reshape(len(mask), -1) for _, mask in stable if mask.ndim and mask.size]
    if not any(mask.any() for mask in flat):
        return ""
    if len({mask.shape[1] for mask in flat}) == 1:
        everywhere = np.flatnonzero(np.all(np.concatenate(flat), axis=0))
        if len(everywhere):
            return f"value {_numbers(everywhere)} of every row"
    for case, mask in stable:
        if mask.ndim and mask.any():
            row = int(np.flatnonzero(mask.reshape(len(mask), -1).any(axis=1))[0])
            return f"{case.row_name(row, len(mask) + len(case.unstable_rows))} of case {case.name}"
    return ""


def _constant_columns(values: Sequence[np.ndarray]) -> str:
    """Return how many columns of two-dimensional outputs do not vary, as text; empty if all do."""
    if any(value.ndim != 2 for value in values) or len({value.shape[1] for value in values}) != 1:
        return ""
    rows = np.concatenate(values).astype(np.float64)
    scale = np.maximum(1.0, np.max(np.abs(rows), axis=0, initial=0.0, where=np.isfinite(rows)))
    with np.errstate(invalid="ignore"):
        constant = np.flatnonzero(np.ptp(rows, axis=0) < CONSTANT * scale)
    return f"{len(constant)} of {rows.shape[1]} columns ({_numbers(constant)})" if len(constant) else ""


def _numbers(numbers: np.ndarray) -> str:
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return ", ".join(map(str, numbers[:5].tolist())) + more
