"""The types of the columns of a table, inferred from their cells: number, category, date, or ignored."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pipelines import tabular
from zoobase.errors import USAGE, DataError

TYPES = ("number", "category", "date", "ignored")
CATEGORIES = 100  # a text column with more values, most of them single, is ignored: names, identifiers, free text
RARE = 5  # a category with fewer training rows is an unknown one
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


def infer(cells: Sequence[str]) -> str:
    """Return the type of a column.

    Example:
        >>> infer(["1", "2.5", ""]), infer(["red", "blue", "red"]), infer(["2020-01-31", "2021-05-01"])
        ('number', 'category', 'date')
        >>> infer([f"customer {i}" for i in range(500)])
        'ignored'
    """
    known = [cell for cell in cells if not is_missing(cell)]
    if len(set(known)) < 2:
        return "ignored"
    if all(_number(cell) is not None for cell in known):
        return "number"
    if all(_date(cell) is not None for cell in known):
        return "date"
    return "ignored" if len(set(known)) > CATEGORIES and len(set(known)) > len(known) / 2 else "category"


def plain_name(name: str) -> str:
    """Return the name of a column as one that every format takes: letters, digits and underscores.

    Example:
        >>> plain_name("Price (EUR/m2)")
        'Price_EUR_m2'
    """
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "column"


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or one of the usual marks of a missing value."""
    return cell.lower() in MISSING


def types_of(table: Mapping[str, Sequence[str]], chosen: Mapping[str, str], target: str) -> dict[str, str]:
    """Return the type of each column: the chosen one, or the inferred one.

    Raises:
        DataError: A chosen column or type does not exist.
    """
    for name, kind in chosen.items():
        if name not in table or kind not in TYPES:
            known = ", ".join(table if name not in table else TYPES)
            raise DataError(f"{name if name not in table else kind!r} is not one of {known}", USAGE)
    types = {name: chosen.get(name) or infer(cells) for name, cells in table.items()}
    if types[target] in ("date", "ignored"):
        raise DataError(f"the target {target} has one value only, or is a date or free text: choose another", USAGE)
    if not {kind for name, kind in types.items() if name != target} - {"ignored"}:
        raise DataError("all columns but the target are ignored: choose the type of one with task.columns", USAGE)
    return types


def values_of(name: str, cells: Sequence[str], kind: str) -> dict[str, np.ndarray]:
    """Return a column as one or more columns of float32 (NaN where a cell is missing) or strings ("" there).

    A date becomes the numbers `NAME_days` since 1970 and the categories `NAME_month` and `NAME_weekday`.

    Raises:
        DataError: A cell is not of this type.
    """
    if kind == "category":
        return {name: np.array(["" if is_missing(cell) else cell for cell in cells], object)}
    if kind == "number":
        values = [np.nan if is_missing(cell) else _number(cell) for cell in cells]
        _check(name, cells, values, kind)
        return {name: np.array(values, np.float32)}
    days = [None if is_missing(cell) else _date(cell) for cell in cells]
    _check(name, cells, [0 if is_missing(cell) else day for cell, day in zip(cells, days, strict=True)], kind)
    return {
        f"{name}_days": np.array([np.nan if d is None else d.toordinal() - 719163 for d in days], np.float32),
        f"{name}_month": np.array(["" if d is None else f"{d.month:02d}" for d in days], object),
        f"{name}_weekday": np.array(["" if d is None else d.strftime("%a") for d in days], object),
    }


def fill_missing(parts: Mapping[str, tabular.Table], columns: Sequence[str]) -> None:
    """Replace missing numbers by the mean of the training rows, and rare categories by "", in place.

    Rare and missing categories are then ids that the vocabulary of the training rows does not have.
    """
    for name in columns:
        train = parts["train"][name]
        if train.dtype != object:
            mean = np.float32(np.nanmean(train)) if np.isfinite(train).any() else np.float32(0)
            for part in parts.values():
                part[name] = np.where(np.isnan(part[name]), mean, part[name])
            continue
        counts = Counter(train.tolist())
        kept = {value for value, count in counts.items() if count >= min(RARE, max(counts.values()))}
        for part in parts.values():
            part[name] = np.array([value if value in kept else "" for value in part[name]], object)


def _check(name: str, cells: Sequence[str], values: Sequence[object], kind: str) -> None:
    wrong = next((i for i, value in enumerate(values) if value is None), None)
    if wrong is not None:
        raise DataError(f"{name} is not a {kind} column: it has a cell {cells[wrong][:80]!r}", USAGE)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= tabular.LARGEST else None


def _date(cell: str) -> datetime.date | None:
    try:
        return datetime.datetime.fromisoformat(cell).date()
    except ValueError:
        return None
