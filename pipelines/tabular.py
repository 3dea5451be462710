"""Tables with named columns: read from CSV files, described by the training rows.

A column is described by a JSON-able dictionary, which is also what model builders take:

    {"name": "weather", "kind": "category", "vocabulary": ["Clear", "Mist"]}
    {"name": "humidity", "kind": "number", "mean": 62.7, "deviation": 19.3, "low": 0.0, "high": 100.0}
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import MISSING, USAGE, DataError

OFFICIAL = (60, 20, 20)  # percentages, of tables that have no division of their own

Table = dict[str, np.ndarray]  # column name -> (rows,), float32 or object (str)


def read_csv(path: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the named columns of a CSV file with a header, as strings.

    Raises:
        DataError: There is no such file, it is not UTF-8, has no rows or not these columns, or a row is short.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            if missing := [name for name in columns if name not in (rows.fieldnames or [])]:
                there = ", ".join(rows.fieldnames or ["nothing"])
                raise DataError(f"{path} has no column {', '.join(missing)}; it has {there}")
            table: dict[str, list[str]] = {name: [] for name in columns}
            for row in rows:
                for name, cells in table.items():
                    if row[name] is None:
                        raise DataError(f"{path}, line {rows.line_num}: the row ends before column {name}")
                    cells.append(row[name].strip())
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; point --data-dir at a CSV file", MISSING) from error
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error})") from error
    if not table[columns[0]]:
        raise DataError(f"{path} has a header but no rows")
    return table


def numbers(cells: Sequence[str], name: str, where: object) -> np.ndarray:
    """Return cells as float32 (rows,).

    Raises:
        DataError: A cell is no finite number; the message says which.
    """
    values = np.empty(len(cells), np.float32)
    for i, cell in enumerate(cells):
        try:
            values[i] = float(cell)
        except ValueError:
            values[i] = np.nan
        if not np.isfinite(values[i]):
            raise DataError(f"{where}, row {i + 1}: {name} is {cell!r}, not a number; mend or remove the row")
    return values


def describe(train: Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Describe columns by the rows of the training split: vocabularies, means and deviations."""
    found = []
    for name in names:
        values = train[name]
        if values.dtype == object:
            found.append({"name": name, "kind": "category", "vocabulary": sorted(set(values.tolist()))})
            continue
        deviation = float(values.std(dtype=np.float64))
        found.append(
            {
                "name": name,
                "kind": "number",
                "mean": float(values.mean(dtype=np.float64)),
                "deviation": deviation or 1.0,  # a constant column says nothing, and must not divide by zero
                "low": float(values.min()),
                "high": float(values.max()),
            }
        )
    return found


def dataset(table: Table) -> tf.data.Dataset:
    """Return the rows as feature dicts of scalars: strings and float32."""
    columns = {k: np.array(v.tolist(), dtype="S") if v.dtype == object else v for k, v in table.items()}
    return tf.data.Dataset.from_tensor_slices(columns)


def two_classes(
    table: Table, target: str, classes: tuple[str, str], policy: tuple[int, int, int] | None, **told: Any
) -> Dataset:
    """Return a table whose target is 0 or 1 as a dataset, divided by a fixed shuffle of each class.

    Args:
        table: All rows.
        target: The column that is predicted.
        classes: Names of 0 and 1.
        policy: Percentages of train, validation and test; None for `OFFICIAL`.
        told: What else `Info` holds: name, source, licence, homepage, split.

    Raises:
        DataError: A class has too few rows to be on every side.
    """
    held: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    shuffle = np.random.default_rng(0)
    for value in (0, 1):
        rows = shuffle.permutation(np.flatnonzero(table[target] == value))
        for part, found in zip(
            held.values(), np.split(rows, splits.bounds(policy or OFFICIAL, len(rows))), strict=True
        ):
            part.append(found)
    parts = {name: take(table, np.sort(np.concatenate(rows))) for name, rows in held.items()}
    inputs = [name for name in table if name != target]
    info = Info(
        **told,
        features={name: "string" if column.dtype == object else "float32" for name, column in table.items()},
        counts={name: len(part[target]) for name, part in parts.items()},
        class_names=classes,
        statistics={"columns": describe(parts["train"], inputs), "target": describe(parts["train"], (target,))[0]},
    )
    return Dataset(**{name: dataset(part) for name, part in parts.items()}, info=info)


def take(table: Table, rows: Any) -> Table:
    """Return some rows: a slice, indices or a mask."""
    return {name: values[rows] for name, values in table.items()}


def collect(examples: tf.data.Dataset) -> Table:
    """Return the rows of a split as columns again."""
    columns = next(iter(examples.batch(int(examples.cardinality())).as_numpy_iterator()))
    return {k: np.array([c.decode() for c in v], object) if v.dtype == object else v for k, v in columns.items()}


def row(columns: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return one row as a model takes it; a number that is left out is the mean of the training rows.

    Args:
        columns: As of `describe`.
        given: Column name -> value.

    Raises:
        DataError: An unknown column, a category that is left out, or no number where one must be.
    """
    names = {c["name"] for c in columns}
    if unknown := sorted(set(given) - names):
        raise DataError(f"there is no column {', '.join(unknown)}; there are {', '.join(sorted(names))}", USAGE)
    values: dict[str, np.ndarray] = {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "number":
            values[name] = numbers([str(given.get(name, column["mean"]))], name, "the question")[0]
        elif name not in given:
            raise DataError(f"{name} is left out; it is one of {', '.join(column['vocabulary'])}", USAGE)
        else:
            values[name] = np.array(str(given[name]).encode(), object)
    return values


def times(table: Table) -> np.ndarray | None:
    """Return datetime64[h] (rows,) of the columns `date` (ISO 8601) and, if it is there, `hour`; None without a date.

    Example:
        >>> times({"date": np.array(["2011-01-31"], object), "hour": np.array(["05"], object)})
        array(['2011-01-31T05'], dtype='datetime64[h]')
    """
    if "date" not in table:
        return None
    days = np.array([_text(cell) for cell in table["date"]], "datetime64[h]")
    hours = [int(_text(cell)) for cell in table["hour"]] if "hour" in table else [0] * len(days)
    return days + np.array(hours, "timedelta64[h]")


def _text(cell: str | bytes) -> str:
    return cell.decode() if isinstance(cell, bytes) else str(cell)
