"""How far an artifact differs from itself: what no artifact can be asked to be closer than. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from export.parity.distance import is_real, row_errors, spread

if TYPE_CHECKING:
    from export.parity.policy import Judged, Policy

VARIANTS = {
    "rows": "batch 1 against batch N",
    "company": "batch N against batch 2 N",
    "graph": "eager against graph",
    "kernels": "with oneDNN against without",
    "nudged": "inputs two steps of their dtype away",
    "nudged_own": "inputs two steps of their dtype at their own scale away",
}
EXCUSES = ("nudged", "nudged_own", "kernels")  # on named rows each row has what it moves by for itself


def noise(cases: Iterable[Judged], arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Return how far the same artifact differs from itself: {variant: {output: largest row error}}.

    Args:
        cases: The golden cases of one endpoint.
        arrays: What ran, by "<case>/<variant>/<output>".
    """
    found: dict[str, dict[str, float]] = {}
    for case in cases:
        for output in case.outputs:
            main = arrays.get(f"{case.name}/main/{output}")
            for variant in VARIANTS:
                other = arrays.get(f"{case.name}/{variant}/{output}")
                if main is None or other is None or not case.judged or (variant in EXCUSES and case.rows):
                    continue
                outputs = found.setdefault(variant, {})
                difference = spread(steady(case, main), steady(case, other))
                outputs[output] = max(outputs.get(output, 0.0), difference)
    return found


def unsteady_rows(
    case: Judged, arrays: Mapping[str, np.ndarray], policy: Policy, variants: Iterable[str] = VARIANTS
) -> tuple[int, ...]:
    """Return the named rows at which an output jumps although next to nothing changed.

    Next to nothing is: the inputs by two steps of their dtype, the size of the batch, eager or graph, the kernels that
    compute. Such as a row of zeros in a model that divides each row by its largest value, or a row of one colour where
    instance normalisation divides by a standard deviation that is rounding alone: nothing is right there, so nothing
    can be judged there. Ordinary rows are always judged.

    Args:
        case: A golden case.
        arrays: What ran, by "<case>/<variant>/<output>".
        policy: Its `jump` is how far an output must move.
        variants: Keys of `VARIANTS` to look at: all for the reference. That an artifact depends on its batch excuses
            nothing, so `EXCUSES` for an artifact.
    """
    found: set[int] = set()
    for output in case.outputs if case.rows and case.judged else ():
        main = arrays.get(f"{case.name}/main/{output}")
        for variant in variants:
            other = arrays.get(f"{case.name}/{variant}/{output}")
            if main is None or other is None or main.shape != other.shape or len(main) != len(case.rows):
                continue
            if is_real(main):
                found |= set(np.flatnonzero(row_errors(main, other) > policy.jump).tolist())
    return tuple(sorted(found))


def row_noise(case: Judged, arrays: Mapping[str, np.ndarray], policy: Policy) -> dict[str, np.ndarray]:
    """Return by how much each named row of a case moves although next to nothing changed: {output: (rows,)}.

    An extreme row may be steeper than ordinary ones, and must not widen what is asked of those. Jumps are none.
    """
    found: dict[str, np.ndarray] = {}
    for output in case.outputs if case.rows and case.judged else ():
        main = arrays.get(f"{case.name}/main/{output}")
        for variant in EXCUSES:
            other = arrays.get(f"{case.name}/{variant}/{output}")
            if main is None or other is None or main.shape != other.shape or len(main) != len(case.rows):
                continue
            if is_real(main):
                errors = row_errors(main, other)
                errors = np.where(errors <= policy.jump, errors, 0.0)
                found[output] = np.maximum(found.get(output, 0.0), errors)
    return found


def steady(case: Judged, array: np.ndarray) -> np.ndarray:
    """Return the rows of an output that are judged."""
    return np.delete(array, [i for i in case.unsteady if i < len(array)], axis=0) if case.unsteady else array


def judge_noise(measured: Mapping[str, Mapping[str, float]], policy: Policy) -> list[str]:
    """Return a sentence for each output whose noise is above the ceiling."""
    batch = "outputs depend on the batch"
    meaning = {"rows": batch, "company": batch, "graph": "eager and graph disagree"}
    return [
        f"{meaning[variant]}: {output} differs by {value:.2g}, {VARIANTS[variant]} (ceiling {policy.ceiling:g})"
        for variant, outputs in measured.items()
        for output, value in outputs.items()
        if variant in meaning and not value <= policy.ceiling
    ]
