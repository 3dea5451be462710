"""What a model gets wrong: likely wrong labels, groups that are worse than others, and properties that make groups.

Reference: Northcutt, Jiang, Chuang 2021, arXiv:1911.00068 (labels, by confident learning).
"""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from pipelines.dataset import Info

SMALLEST = 10  # examples of a slice
SIGNIFICANCE = 0.05  # share of false slices among those that are reported (Benjamini, Hochberg 1995)
PARTS = 4  # into which numbers are divided


def likely_wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the examples, int64 (M,), whose label is probably wrong, the surest first."""
    # An example counts as another class if its probability of it is at least the mean probability of that class among
    # the examples with its label, and it is the most probable of such classes. The model was not trained on these
    # examples.
    classes = probabilities.shape[-1]
    of_class = [probabilities[labels == c, c] for c in range(classes)]
    thresholds = np.array([values.mean() if len(values) else 1.0 for values in of_class])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    counted = np.where(confident.max(axis=-1) >= 0, confident.argmax(axis=-1), labels)
    given = probabilities[np.arange(len(labels)), labels]
    margin = given - probabilities.max(axis=-1)
    wrong = np.flatnonzero((counted != labels) & (margin < 0))
    return wrong[np.argsort(margin[wrong], kind="stable")]


def worst_slices(errors: np.ndarray, columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
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


def properties(examples: Sequence[Mapping[str, Any]], info: Info) -> dict[str, np.ndarray]:
    """Return what is known of each example without a model, (N,) each: brightness, size, length, columns."""
    if not examples:
        return {}
    if "image" in examples[0]:
        return _of_images([example["image"] for example in examples])
    if "text" in examples[0]:
        return {"words": np.array([len(example["text"].split()) for example in examples])}
    names = [column["name"] for column in info.statistics.get("columns", ())]
    return {name: np.array([_plain(example[name]) for example in examples]) for name in names}


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _of_images(images: Sequence[bytes]) -> dict[str, np.ndarray]:
    from PIL import Image

    rows = []
    for content in images:
        with Image.open(io.BytesIO(content)) as image:
            grey = np.asarray(image.convert("L"), np.float32)
            rows.append((grey.mean(), grey.std(), image.width * image.height))
    return dict(zip(("brightness", "contrast", "pixels"), np.array(rows).T, strict=True))
