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
    "graph": "eager against graph",
    "nudged": "inputs two steps of their dtype away",
}


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
                if main is None or other is None or not case.judged or (variant == "nudged" and case.rows):
                    continue
                outputs = found.setdefault(variant, {})
                outputs[output] = max(outputs.get(output, 0.0), spread(main, other))
    return found


def unsteady_rows(case: Judged, arrays: Mapping[str, np.ndarray], policy: Policy) -> tuple[int, ...]:
    """Return the named rows at which two steps of the inputs make an output jump.

    Such as a row of zeros in a model that divides each row by its largest value: nothing is right there, so nothing
    can be judged there. Ordinary rows are always judged.
    """
    found: set[int] = set()
    for output in case.outputs if case.rows and case.judged else ():
        main, nudged = (arrays.get(f"{case.name}/{variant}/{output}") for variant in ("main", "nudged"))
        if main is None or nudged is None or main.shape != nudged.shape or len(main) != len(case.rows):
            continue
        if is_real(main):
            found |= set(np.flatnonzero(row_errors(main, nudged) > policy.jump).tolist())
    return tuple(sorted(found))


def steady(case: Judged, array: np.ndarray) -> np.ndarray:
    """Return the rows of an output that are judged."""
    return np.delete(array, case.unsteady, axis=0) if case.unsteady else array


def judge_noise(measured: Mapping[str, Mapping[str, float]], policy: Policy) -> list[str]:
    """Return a sentence for each output whose noise is above the ceiling."""
    meaning = {"rows": "outputs depend on the batch", "graph": "eager and graph disagree"}
    return [
        f"{meaning[variant]}: {output} differs by {value:.2g}, {VARIANTS[variant]} (ceiling {policy.ceiling:g})"
        for variant, outputs in measured.items()
        for output, value in outputs.items()
        if variant in meaning and not value <= policy.ceiling
    ]
