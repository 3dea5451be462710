"""Groups of examples on which a model is worse than on the others."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats

SMALLEST = 10  # examples of a slice
SIGNIFICANCE = 0.05  # share of false slices among those that are reported (Benjamini, Hochberg 1995)
PARTS = 4  # into which numbers are divided


def worst(errors: np.ndarray, columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the slices with a larger mean error (N,) than the other examples, the largest difference first."""
    # Significant by Welch's test with the correction of Benjamini and Hochberg for the number of slices; numbers are
    # divided by quartiles.
    rows = []
    for name, mask in _slices(columns):
        inside, outside = errors[mask].astype(np.float64), errors[~mask].astype(np.float64)
        if min(len(inside), len(outside)) < SMALLEST or inside.mean() <= outside.mean():
            continue
        p_value = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
        means = {"error": float(inside.mean()), "others": float(outside.mean())}
        rows.append({"slice": name, "examples": len(inside), **means, "p_value": float(np.nan_to_num(p_value))})
    if not rows:
        return []
    adjusted = stats.false_discovery_control([row["p_value"] for row in rows])
    kept = [row | {"p_value": float(p)} for row, p in zip(rows, adjusted, strict=True) if p <= SIGNIFICANCE]
    return sorted(kept, key=lambda row: row["others"] - row["error"])


def _slices(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, values in columns.items():
        if values.dtype.kind in "OUSb":
            for value in np.unique(values.astype(str)):
                yield f"{name} = {value}", values.astype(str) == value
            continue
        ends = np.unique(np.nanquantile(values.astype(np.float64), np.linspace(0, 1, PARTS + 1)))
        if np.isnan(values.astype(np.float64)).any():
            yield f"{name} is missing", np.isnan(values)
        for low, high in itertools.pairwise(ends):
            last = high == ends[-1]
            yield f"{name} {low:.4g} to {high:.4g}", (values >= low) & ((values <= high) if last else (values < high))
