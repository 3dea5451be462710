"""Tables with named columns: read from CSV files, with statistics of the training rows.

A column is described by a JSON-serializable dictionary, which is also an argument of model builders:

    {"name": "weather", "kind": "category", "vocabulary": ["Clear", "Mist"]}
    {"name": "humidity", "kind": "number", "mean": 62.7, "deviation": 19.3, "low": 0.0, "high": 100.0}
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

OFFICIAL = (60, 20, 20)  # percentages, for tables without official splits
LARGEST = 1e18  # of a number: its square is finite in float32

Table = dict[str, np.ndarray]  # column name -> (rows,), float32 or object (str)


def read_csv(path: Path, columns: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return the named columns of a CSV file with a header, or all of them, as strings.

    Raises:
        DataError: The file does not exist, is too large or not UTF-8, has no rows or lacks a column, or a row is short.
    """
    try:
        storage.check_size(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            columns = columns if columns is not None else _distinct(rows.fieldnames or [], path)
            if missing := [name for name in columns if name not in (rows.fieldnames or [])]:
                available = ", ".join(rows.fieldnames or ["nothing"])
                raise DataError(f"{path} has no column {', '.join(missing)}; it has {available}")
            table: dict[str, list[str]] = {name: [] for name in columns}
            for row in rows:
                for name, cells in table.items():
                    if row[name] is None:
                        raise DataError(f"{path}, line {rows.line_num}: the row ends before column {name}")
                    cells.append(row[name].strip())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; set --data-dir to a CSV file", MISSING) from error
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error})") from error
    if not table or not table[columns[0]]:
        raise DataError(f"{path} has a header but no rows")
    return table


def _distinct(names: Sequence[str], path: Path) -> list[str]:
    """Return the names of a header; DataError if one is empty or stands twice."""
    wrong = next((name for i, name in enumerate(names) if not name or name in names[:i]), None)
    if wrong is not None:
        raise DataError(f"{path}: two columns are called {wrong!r}" if wrong else f"{path}: a column has no name")
    return list(names)


def numbers(cells: Sequence[str], name: str, where: object) -> np.ndarray:
    """Return cells as float32 (rows,).

    Raises:
        DataError: A cell is not a number, or its square is not finite in float32; the message names it.
    """
    values = np.empty(len(cells), np.float32)
    for i, cell in enumerate(cells):
        try:
            values[i] = float(cell)
        except ValueError:
            values[i] = np.nan
        if not np.isfinite(values[i]):
            raise DataError(f"{where}, row {i + 1}: {name} is {cell[:80]!r}, not a number; fix or remove the row")
        if abs(values[i]) > LARGEST:
            raise DataError(f"{where}, row {i + 1}: {name} is {cell[:80]!r}, too large: more than {LARGEST:g}")
    return values


def describe(train: Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the descriptions of columns, from the rows of the training split."""
    columns = []
    for name in names:
        values = train[name]
        if values.dtype == object:
            columns.append({"name": name, "kind": "category", "vocabulary": sorted(set(values.tolist()))})
            continue
        deviation = float(values.std(dtype=np.float64))
        columns.append(
            {
                "name": name,
                "kind": "number",
                "mean": float(values.mean(dtype=np.float64)),
                "deviation": deviation or 1.0,  # a constant column must not divide by zero
                "low": float(values.min()),
                "high": float(values.max()),
            }
        )
    return columns


def dataset(table: Table) -> tf.data.Dataset:
    """Return the rows as feature dicts of scalars: strings and float32."""
    import tensorflow as tf

    columns = {k: tf.constant(v.tolist()) if v.dtype == object else v for k, v in table.items()}  # as UTF-8
    return tf.data.Dataset.from_tensor_slices(columns)


def two_classes(
    table: Table, target: str, classes: tuple[str, str], policy: tuple[int, int, int] | None, **about: Any
) -> Dataset:
    """Return a table whose target is 0 or 1 as a dataset, divided by a fixed shuffle of each class.

    Args:
        table: All rows.
        target: The column to predict.
        classes: Names of 0 and 1.
        policy: Percentages of train, validation and test; None for `OFFICIAL`.
        **about: Other fields of `Info`: name, source, licence, homepage, split.

    Raises:
        DataError: A class has too few rows for three splits.
    """
    indices: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    rng = np.random.default_rng(0)
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(table[target] == value))
        for part, part_indices in zip(
            indices.values(), np.split(rows, splits.bounds(policy or OFFICIAL, len(rows))), strict=True
        ):
            part.append(part_indices)
    parts = {name: take(table, np.sort(np.concatenate(rows))) for name, rows in indices.items()}
    inputs = [name for name in table if name != target]
    info = Info(
        **about,
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
    """Return the rows of a split as columns."""
    columns = next(iter(examples.batch(int(examples.cardinality())).as_numpy_iterator()))
    return {k: np.array([c.decode() for c in v], object) if v.dtype == object else v for k, v in columns.items()}


def row(columns: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return one row as model inputs; a missing number is replaced by the mean of the training rows.

    Args:
        columns: The result of `describe`.
        inputs: Column name -> value.

    Raises:
        DataError: A column is unknown, a category is missing, or a value is not a number.
    """
    names = {c["name"] for c in columns}
    if unknown := sorted(set(inputs) - names):
        raise DataError(f"there is no column {', '.join(unknown)}; available: {', '.join(sorted(names))}", USAGE)
    values: dict[str, np.ndarray] = {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "number":
            values[name] = numbers([str(inputs.get(name, column["mean"]))], name, "the input")[0]
        elif name not in inputs:
            raise DataError(f"{name} is missing; it is one of {', '.join(column['vocabulary'])}", USAGE)
        else:
            values[name] = np.array(str(inputs[name]).encode(), object)
    return values


def times(table: Table) -> np.ndarray | None:
    """Return datetime64[h] (rows,) of the columns `date` (ISO 8601) and, if it is there, `hour`; None without a date.

    Example:
        >>> times({"date": np.array(["2011-01-31"], object), "hour": np.array(["05"], object)})
        array(['2011-01-31T05'], dtype='datetime64[h]')
    """
    if "date" not in table:
        return None
    days = table["date"].astype("datetime64[h]")
    hours = [int(cell) for cell in table["hour"]] if "hour" in table else [0] * len(days)
    return days + np.array(hours, "timedelta64[h]")
