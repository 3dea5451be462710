"""Evaluate quantised artifacts: quantisation error on real inputs against a budget."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from export.contract.quantization import Budget
from export.formats import QUANTIZATIONS
from export.parity.cases import REAL, TYPICAL, GoldenCase, output_names
from export.parity.comparison import EndpointComparison, check_errors, check_repeatability
from export.parity.distance import count_top1, is_real, root_mean_squares, sqnr_db
from export.parity.noise_floor import Policy
from export.protocol.arrays import Outputs


def compare_quantized(
    cases: Sequence[GoldenCase], outputs: Outputs, classes: frozenset[str], quantize: str
) -> EndpointComparison:
    """Compare one endpoint of a quantised artifact with the reference, by the budget of `quantize`."""
    # SQNR and top-1 agreement are of the typical case if there is one, else of the generated batches.
    budget = QUANTIZATIONS[quantize].budget
    compared = [case for case in cases if case.compared and case.outputs]
    findings = check_errors(cases, outputs) + check_repeatability(cases, outputs)
    figures: dict[str, Any] = {"quantised": {}, "budget": asdict(budget)}
    notes: list[str] = []
    for output in output_names(compared):
        violations = [text for case in compared if (text := _violation(case, output, outputs))]
        findings += violations
        pairs = [] if violations else _pairs(compared, output, outputs)
        if not pairs:
            continue
        figures["quantised"][output], messages = check_budget(output, pairs, output in classes, budget)
        findings += messages
        generated = _pairs([case for case in compared if case.name not in REAL], output, outputs)
        if not messages and generated:
            figures["quantised"][output]["contract_sqnr_db"] = ratio = sqnr_db(*root_mean_squares(generated))
            if ratio is not None and ratio < budget.sqnr_db:
                text = (
                    f"{output} has {ratio:.1f} dB SQNR on inputs of the whole range that the contract allows (budget "
                )
                text += f"{budget.sqnr_db:g} dB)"
                if QUANTIZATIONS[quantize].is_calibrated:
                    text += ": the calibration data cover little of it; state a narrower range, or calibrate with data "
                    text += "that fill it"
                notes.append(text)
    return EndpointComparison(figures, findings, notes)


def check_budget(
    output: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], classes: bool, budget: Budget
) -> tuple[dict[str, Any], list[str]]:
    """Return the quantisation error of an output over (reference, value) pairs, and messages where it is too large."""
    figures, messages = {"sqnr_db": sqnr_db(*root_mean_squares(pairs)), "rows": sum(len(a) for a, _ in pairs)}, []
    figures |= {"top1": counts} if classes and (counts := count_top1(pairs, Policy.relative)) else {}
    sqnr, (agree, untied) = figures["sqnr_db"], figures.get("top1", (1, 1))
    if sqnr is not None and not sqnr >= budget.sqnr_db:
        messages.append(f"{output} has {sqnr:.1f} dB SQNR on typical inputs (budget {budget.sqnr_db:g} dB)")
    if untied and agree / untied < budget.top1:
        messages.append(
            f"{output} has another top-1 class in {untied - agree} of {untied} rows (budget {budget.top1:g})"
        )
    return figures, messages


def _violation(case: GoldenCase, output: str, outputs: Outputs) -> str | None:
    """Report errors that no precision explains: a missing output, another shape or dtype, non-finite values."""
    value, reference = outputs.get(case.name, output), case.outputs[output]
    where = f"{output} in case {case.name}"
    if value is None:
        return None if outputs.error(case.name) else f"{where} is missing"
    if (value.shape, value.dtype) != (reference.shape, reference.dtype):
        return f"{where} is {value.dtype} {value.shape} instead of {reference.dtype} {reference.shape}"
    if is_real(reference) and not np.all(np.isfinite(value[np.isfinite(reference)])):
        return f"{where} is not finite where the reference is"
    return None


def _pairs(compared: Sequence[GoldenCase], output: str, outputs: Outputs) -> list[tuple[np.ndarray, np.ndarray]]:
    typical = [case for case in compared if case.name == TYPICAL] or [c for c in compared if not c.rows]
    pairs = [(case.outputs[output], outputs.get(case.name, output)) for case in typical]
    return [(a, b) for a, b in pairs if b is not None and is_real(a)]
