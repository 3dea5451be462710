"""Judge artifacts whose numbers are coarser than the model's: by what is lost on real inputs, against a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.parity.comparison import Verdict, judge_again, judge_errors
from export.parity.distance import energy, is_real, top1
from export.parity.golden import TYPICAL
from export.parity.policy import Judged, Policy


@dataclass(frozen=True)
class Budget:
    """What an artifact may lose on typical inputs.

    Attributes:
        sqnr_db: Smallest signal-to-quantisation-noise ratio of every output, in dB.
        top1: Smallest part of rows, ties left out, whose largest class stays.
    """

    sqnr_db: float
    top1: float


BUDGETS = {"float16": Budget(40.0, 0.99), "dynamic": Budget(20.0, 0.95), "int8": Budget(15.0, 0.95)}


def judge_quantised(
    cases: Sequence[Judged],
    arrays: Mapping[str, np.ndarray],
    errors: Mapping[str, str],
    classes: frozenset[str],
    quantize: str,
) -> Verdict:
    """Judge one endpoint of a quantised artifact.

    Args:
        cases: Golden cases with the outputs of the reference.
        arrays: What ran, by "<case>/<variant>/<output>".
        errors: What raised, by "<case>/<variant>".
        classes: Outputs whose last axis holds classes.
        quantize: A key of `BUDGETS`.

    Returns:
        SQNR and top-1 agreement by output, over the typical case if there is one, else over the drawn batches.
    """
    budget = BUDGETS[quantize]
    judged = [case for case in cases if case.judged and case.outputs]
    findings = judge_errors(cases, errors) + judge_again(cases, arrays)
    figures: dict[str, Any] = {"quantised": {}, "budget": asdict(budget)}
    for output in dict.fromkeys(name for case in judged for name in case.outputs):
        broken = [text for case in judged if (text := _broken(case, output, arrays, errors))]
        findings += broken
        pairs = [] if broken else _pairs(judged, output, arrays)
        if not pairs:
            continue
        found = figures["quantised"][output] = _measure(pairs, output in classes)
        sqnr, (agree, clear) = found["sqnr_db"], found.get("top1", (1, 1))
        if sqnr is not None and not sqnr >= budget.sqnr_db:
            findings.append(f"{output} has {sqnr:.1f} dB SQNR on typical inputs (budget {budget.sqnr_db:g} dB)")
        if clear and agree / clear < budget.top1:
            findings.append(f"{output} names another class in {clear - agree} of {clear} rows (budget {budget.top1:g})")
    return Verdict(figures, findings)


def _broken(case: Judged, output: str, arrays: Mapping[str, np.ndarray], errors: Mapping[str, str]) -> str | None:
    """Say what no precision excuses: a missing output, another shape or dtype, numbers that are none."""
    value, reference = arrays.get(f"{case.name}/main/{output}"), case.outputs[output]
    where = f"{output} in case {case.name}"
    if value is None:
        return None if f"{case.name}/main" in errors else f"{where} is missing"
    if (value.shape, value.dtype) != (reference.shape, reference.dtype):
        return f"{where} is {value.dtype} {value.shape} instead of {reference.dtype} {reference.shape}"
    if is_real(reference) and not np.all(np.isfinite(value[np.isfinite(reference)])):
        return f"{where} is not finite where the reference is"
    return None


def _pairs(
    judged: Sequence[Judged], output: str, arrays: Mapping[str, np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    typical = [case for case in judged if case.name == TYPICAL] or [c for c in judged if not c.rows]
    pairs = [(case.outputs[output], arrays.get(f"{case.name}/main/{output}")) for case in typical]
    return [(a, b) for a, b in pairs if b is not None and is_real(a)]


def _measure(pairs: Sequence[tuple[np.ndarray, np.ndarray]], classes: bool) -> dict[str, Any]:
    signal, error = energy(pairs)
    figures: dict[str, Any] = {
        "sqnr_db": round(20 * np.log10(signal / error), 1) if error and signal else None,
        "rows": sum(len(a) for a, _ in pairs),
    }
    if classes and all(a.ndim >= 2 and a.shape[-1] > 1 for a, _ in pairs):
        counts = [top1(a, b, Policy.relative) for a, b in pairs]
        figures["top1"] = (sum(c[0] for c in counts), sum(c[1] for c in counts))
    return figures
