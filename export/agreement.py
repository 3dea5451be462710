"""How far the artifacts are from each other, not only from the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from export.golden import Case
from export.measures import is_real, row_errors
from export.noise import steady
from export.running import Run


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
