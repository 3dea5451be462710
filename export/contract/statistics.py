"""What the training inputs of an endpoint look like, and the answers to them: with them served requests are compared.

A feature is one number or one category of each row: a column of a table; of images and sounds mean and deviation; of
texts the length; of logits the energy (Liu et al. 2020, arXiv:2010.03759: inputs unlike those of the training have a
low one) and the class.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from export.contract import Endpoint, Tensor

FILE = "assets.extra/training_statistics.json"  # of a SavedModel
ROWS = 1000  # of the training split that are kept, and at most stored, of each feature
LEAST_ROWS = 50
MOST_COLUMNS = 64  # a row with more numbers is summarized
MOST_CATEGORIES = 50  # a string input with more distinct values is a text
DIGITS = 6  # significant ones of a stored number
TAILS = (".energy", ".deviation")  # features whose low values mean a blank or an unusual input
GENERATED = ("noise", "latent", "state")  # meanings of inputs that no user gives

Rows = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Statistics:
    """The features of training rows."""

    endpoint: str  # whose inputs they are
    rows: int  # how many training rows there were
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)  # a sorted sample of each feature that is a number
    # how often each value of the others occurred
    categories: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # rows with a value that the contract does not allow, by input
    outside: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)  # how many values of each number were NaN

    def to_json(self) -> dict[str, Any]:
        """Return the form of the file."""
        numbers = {name: [float(f"{v:.{DIGITS}g}") for v in values] for name, values in self.numbers.items()}
        return {"schema": 1, "endpoint": self.endpoint, "rows": self.rows, "numbers": numbers} | {
            "categories": {name: dict(counts) for name, counts in self.categories.items()},
            "outside": dict(self.outside),
            "missing": dict(self.missing),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        numbers = {name: np.array(values) for name, values in data["numbers"].items()}
        return cls(data["endpoint"], int(data["rows"]), numbers, data["categories"], data["outside"], data["missing"])


def write(saved_model: Path, endpoint: Endpoint, inputs: Rows, outputs: Rows) -> None:
    """Write the statistics of training rows into a SavedModel, and of outputs for other rows, if there are any."""
    statistics = collect(endpoint, inputs, of_outputs(endpoint.outputs, outputs) if outputs else {})
    if statistics is not None:
        path = saved_model / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(statistics.to_json()), encoding="utf-8")


def collect(endpoint: Endpoint, inputs: Rows, answered: Rows) -> Statistics | None:
    """Return the statistics of training rows (N, ...) by input name; None if there are too few, or no feature."""
    rows = len(next(iter(inputs.values()), ()))
    texts = {
        name
        for name, value in inputs.items()
        if value.dtype.kind in "OSU" and len({*value.reshape(-1).tolist()}) > MOST_CATEGORIES
    }
    columns = {**of_inputs(endpoint.inputs, inputs, texts), **answered}
    if rows < LEAST_ROWS or not columns:
        return None
    numbers = {n: np.sort(c[np.isfinite(c)])[:: -(-len(c) // ROWS)] for n, c in columns.items() if c.dtype.kind == "f"}
    categories = {n: dict(Counter(c.tolist()).most_common()) for n, c in columns.items() if c.dtype.kind != "f"}
    outside = {t.name: int(out_of_range(t, inputs[t.name]).sum()) for t in endpoint.inputs if t.name in inputs}
    missing = {name: int((~np.isfinite(columns[name])).sum()) for name in numbers}
    return Statistics(endpoint.name, rows, {n: v for n, v in numbers.items() if v.size}, categories, outside, missing)


def of_inputs(tensors: Sequence[Tensor], inputs: Rows, texts: set[str] | frozenset[str]) -> dict[str, np.ndarray]:
    """Return the features of inputs: float64, or strings; `texts` are the inputs whose values are no categories."""
    columns: dict[str, np.ndarray] = {}
    for tensor in tensors:
        value = inputs.get(tensor.name)
        if value is None or tensor.meaning in GENERATED or not tensor.shape:
            continue
        name, rows = tensor.name, value.reshape(len(value), -1)
        if value.dtype.kind in "OSU":
            if tensor.name in texts or tensor.meaning in ("text", "encoded_image"):
                columns[f"{name}.length"] = np.array([sum(map(len, row)) for row in rows], float)
            else:
                for i, column in enumerate(rows.T[:MOST_COLUMNS]):
                    columns[_named(name, i, rows)] = np.array([_text(item) for item in column], object)
        elif tensor.meaning == "token":
            columns[f"{name}.length"] = (rows != 0).sum(1).astype(float)
        elif rows.shape[1] <= MOST_COLUMNS and tensor.meaning not in ("image", "audio"):
            columns |= {_named(name, i, rows): column.astype(float) for i, column in enumerate(rows.T)}
        else:
            columns[f"{name}.mean"], columns[f"{name}.deviation"] = (
                f(rows.astype(float), 1) for f in (np.mean, np.std)
            )
    return columns


def of_outputs(tensors: Sequence[Tensor], outputs: Rows) -> dict[str, np.ndarray]:
    """Return the features of outputs: energy and class of logits, or of probabilities."""
    columns: dict[str, np.ndarray] = {}
    for tensor in tensors:
        value = outputs.get(tensor.name)
        if value is None or tensor.meaning not in ("logits", "probabilities") or value.ndim != 2:
            continue
        name = tensor.name
        scores = value.astype(float)
        if tensor.meaning == "probabilities":
            columns.setdefault(f"{name}.energy", scores.max(1))  # there is no energy without logits
        else:
            largest = scores.max(1)
            columns[f"{name}.energy"] = largest + np.log(np.exp(scores - largest[:, None]).sum(1))
        columns[f"{name}.class"] = scores.argmax(1).astype(str).astype(object)
        break
    return columns


def out_of_range(tensor: Tensor, value: np.ndarray) -> np.ndarray:
    """Return which rows have a value that the contract does not allow."""
    rows = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
    if value.dtype.kind in "OSU":
        allowed = {*(tensor.vocabulary or ())} | ({tensor.missing} if tensor.missing is not None else set())
        if tensor.meaning != "category" or not tensor.vocabulary:
            return np.zeros(len(rows), bool)
        return np.array([any(_text(item) not in allowed for item in row) for row in rows])
    with np.errstate(invalid="ignore"):
        bad = np.zeros(rows.shape, bool) if tensor.missing == "NaN" else ~np.isfinite(rows.astype(float))
        for limit, beyond in ((tensor.low, np.less), (tensor.high, np.greater)):
            if limit is not None:
                bad |= beyond(rows, np.ravel(limit) if np.size(limit) == rows.shape[1] else np.max(limit))
    return bad.any(1)


def _named(name: str, i: int, rows: np.ndarray) -> str:
    return name if rows.shape[1] == 1 else f"{name}[{i}]"


def _text(item: Any) -> str:
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)
