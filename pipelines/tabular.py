"""Tables with named columns: read from CSV files, with statistics of the training rows.

A column is described by a JSON-serializable dictionary, which is also an argument of model builders:

    {"name": "weather", "kind": "category", "vocabulary": ["Clear", "Mist"]}
    {"name": "humidity", "kind": "number", "mean": 62.7, "deviation": 19.3, "low": 0.0, "high": 100.0}
"""

from __future__ import annotations

import csv
import datetime
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.requirements import install_command

if TYPE_CHECKING:
    import tensorflow as tf

OFFICIAL = (60, 20, 20)  # percentages, for tables without official splits
QUANTILES = 65  # of a number: the ends of 64 intervals with as many training rows each
LARGEST = 1e18  # of a number: its square is finite in float32

Table = dict[str, np.ndarray]  # column name -> (rows,), float32 or object (str)


def read_csv(path: Path, columns: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return the named columns of a CSV file with a header, or all of them, as strings."""
    try:
        storage.check_size(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
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


def read_table(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV, TSV or Parquet file, by its suffix, as strings; "" where a cell is missing."""
    if path.suffix.lower() != ".parquet":
        return read_csv(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; set --data-dir to a table", MISSING)
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        hint = install_command("parquet")
        raise DataError(f"{path}: Parquet files need pyarrow ({error}); {hint}", MISSING) from error
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file ({' '.join(str(error).split())})") from error
    names = _distinct(table.column_names, path)
    if not names or not table.num_rows:
        raise DataError(f"{path} has no rows")
    return {name: [cell(value) for value in table[name].to_pylist()] for name in names}


def is_none(value: Any) -> bool:
    """Whether a value is None, NaN, or a missing value of pandas."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def cell(value: Any) -> str:
    """Return a value of a typed table as the cell of a CSV file; "" where it is missing."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_none(value):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return value.isoformat() if isinstance(value, datetime.date) else str(value).strip()


def _distinct(names: Sequence[str], path: Path) -> list[str]:
    """Return the names of a header; DataError if one is empty or stands twice."""
    wrong = next((name for i, name in enumerate(names) if not name or name in names[:i]), None)
    if wrong is not None:
        raise DataError(f"{path}: two columns are called {wrong!r}" if wrong else f"{path}: a column has no name")
    return list(names)


def numbers(cells: Sequence[str], name: str, where: object) -> np.ndarray:
    """Return cells as float32 (rows,); DataError names a cell that is no number, or whose square is not finite."""
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
    """Return the descriptions of columns, from the rows of the training split; a number that is NaN is not counted."""
    columns = []
    for name in names:
        values = train[name]
        if values.dtype == object:
            columns.append({"name": name, "kind": "category", "vocabulary": sorted(set(values.tolist()))})
            continue
        values = _known(values)
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


def with_quantiles(columns: Sequence[Mapping[str, Any]], train: Table) -> list[dict[str, Any]]:
    """Return descriptions whose numbers also have `quantiles`, `QUANTILES` of them, and `missing`, the share of NaN."""
    described = []
    for column in columns:
        more: dict[str, Any] = {}
        if column["kind"] == "number":
            values = train[column["name"]]
            more["quantiles"] = np.quantile(_known(values), np.linspace(0, 1, QUANTILES)).astype(np.float32).tolist()
            more["missing"] = float(np.isnan(values).mean())
        described.append({**column, **more})
    return described


def _known(values: np.ndarray) -> np.ndarray:
    """Return the numbers that are not missing; one zero if all are."""
    known = values[~np.isnan(values)]
    return known if len(known) else np.zeros(1, np.float32)


def dataset(table: Table) -> tf.data.Dataset:
    """Return the rows as feature dicts of scalars: strings and float32."""
    import tensorflow as tf

    columns = {k: tf.constant(v.tolist()) if v.dtype == object else v for k, v in table.items()}  # as UTF-8
    return tf.data.Dataset.from_tensor_slices(columns)


def two_classes(
    table: Table, target: str, classes: tuple[str, str], policy: tuple[int, int, int] | None, **about: Any
) -> Dataset:
    """Return a table whose target is 0 or 1 as a dataset, divided by a fixed shuffle of each class."""
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


def equal_rows(table: Table) -> np.ndarray:
    """Return a number for each row, int (rows,), the same for equal rows, unless these are equal by chance."""
    # By chance, were the columns independent, each row would have an equal one; or one row in twenty is the same.
    columns = [np.unique(values.astype(str), return_inverse=True)[1] for values in table.values()]
    numbers = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].ravel()
    count = len(numbers)
    chance = np.prod([np.sum((np.bincount(column) / count) ** 2) for column in columns])
    return np.arange(count) if chance * count >= 1 or np.bincount(numbers).max() > count / 20 else numbers


def collect(examples: tf.data.Dataset) -> Table:
    """Return the rows of a split as columns."""
    columns = next(iter(examples.batch(int(examples.cardinality())).as_numpy_iterator()))
    return {k: np.array([c.decode() for c in v], object) if v.dtype == object else v for k, v in columns.items()}


def times(table: Table) -> np.ndarray | None:
    """Return datetime64[h] (rows,) of the columns `date` (ISO 8601) and perhaps `hour`; None without a date."""
    if "date" not in table:
        return None
    days = table["date"].astype("datetime64[h]")
    hours = [int(cell) for cell in table["hour"]] if "hour" in table else [0] * len(days)
    return days + np.array(hours, "timedelta64[h]")


TYPES = ("number", "category", "date", "ignored")
CATEGORIES = 100  # a text column with more values, most of them single, is ignored: names, identifiers, free text
RARE = 5  # a category with fewer training rows is an unknown one
DATES = ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y")  # forms of dates; the first that all cells have
EMPTY = ("", "na", "n/a", "nan", "null", "none", "?")


def infer(cells: Sequence[str]) -> str:
    """Return the type of a column.

    Example:
        >>> infer(["1", "2.5", ""]), infer(["red", "blue", "red"]), infer(["2020-01-31", "2021-05-01"])
        ('number', 'category', 'date')
    """
    known = [cell for cell in cells if not is_missing(cell)]
    if len(set(known)) < 2:
        return "ignored"
    if all(_number(cell) is not None for cell in known):
        return "number"
    if date_form(known) is not None:
        return "date"
    return "ignored" if len(set(known)) > CATEGORIES and len(set(known)) > len(known) / 2 else "category"


def plain_name(name: str) -> str:
    """Return the name of a column as one that every format takes: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "column"


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or one of the usual marks of a missing value."""
    return cell.lower() in EMPTY


def types_of(table: Mapping[str, Sequence[str]], chosen: Mapping[str, str], target: str) -> dict[str, str]:
    """Return the type of each column: the chosen one, or the inferred one."""
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
    """Return a column as one or more columns of float32 (NaN where a cell is missing) or strings ("" there)."""
    # A date becomes the numbers `NAME_days` since 1970 and the categories `NAME_month` and `NAME_weekday`.
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


def drop_rare(parts: Mapping[str, Table], columns: Sequence[str]) -> None:
    """Replace rare categories by "", in place: like missing ones, they are not in the vocabulary."""
    for name in columns:
        train = parts["train"][name]
        if train.dtype != object:
            continue
        counts = Counter(train.tolist())
        kept = {value for value, count in counts.items() if count >= min(RARE, max(counts.values()))}
        for part in parts.values():
            part[name] = np.array([value if value in kept else "" for value in part[name]], object)


def is_of(cell: str, kind: str) -> bool:
    """Whether a cell is one of a "number" or "date" column."""
    return (_number(cell) if kind == "number" else _date(cell)) is not None


def _check(name: str, cells: Sequence[str], values: Sequence[object], kind: str) -> None:
    wrong = next((i for i, value in enumerate(values) if value is None), None)
    if wrong is not None:
        raise DataError(f"{name} is not a {kind} column: it has a cell {cells[wrong][:80]!r}", USAGE)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def _date(cell: str) -> datetime.date | None:
    time = time_of(cell)
    return None if time is None else time.date()


def time_of(cell: str, form: str = "") -> datetime.datetime | None:
    """Return the time of a cell: ISO 8601, or a date of another form, such as "%d.%m.%Y", and perhaps a time."""
    day, _, rest = cell.strip().partition(" ") if form else (cell, "", "")
    try:
        date = datetime.datetime.strptime(day, form).date().isoformat() if form else day
        return datetime.datetime.fromisoformat(f"{date} {rest}".strip())
    except ValueError:
        return time_of(cell) if form else None


def date_form(cells: Sequence[str]) -> str | None:
    """Return how the dates of a column are written: "" of ISO 8601, else one of `DATES`; None if they are no dates.

    Missing cells are left out.

    Example:
        >>> date_form(["31.12.2012", "", "1.2.2012 17:00"]), date_form(["12/31/2012"]), date_form(["2012-12-31"])
        ('%d.%m.%Y', '%m/%d/%Y', '')
    """
    known = [cell for cell in cells if not is_missing(cell)]
    return next((form for form in ("", *DATES) if all(time_of(cell, form) for cell in known)), None)


def as_iso(cells: Sequence[str], form: str) -> list[str]:
    """Return the cells of a date column in ISO 8601; what is no date remains as it is."""
    times = [time_of(cell, form) if form else None for cell in cells]
    return [cell if time is None else time.isoformat(" ") for cell, time in zip(cells, times, strict=True)]
