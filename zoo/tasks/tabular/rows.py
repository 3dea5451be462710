"""Rows of a table as its file has them: original names, ISO dates, missing cells, unknown categories.

The same rules twice: of cells, in NumPy, for predictions on files; and of tensors, for the endpoint `rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoobase.errors import USAGE, DataError, near

if TYPE_CHECKING:
    import tensorflow as tf

    from export.contract import Endpoint

Columns = Sequence[Mapping[str, Any]]
DERIVED = ("days", "month", "weekday")  # of a date
DATE = r"\s*\d{4}-\d{2}-\d{2}([T ].*)?"
MISSING = r"(?i)\s*(na|n/a|nan|null|none|\?)?\s*"
MONTH_ENDS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def kinds_of(columns: Columns, types: Mapping[str, str]) -> dict[str, str]:
    """Return the kind of each column of the file that the model uses."""
    used = {column["name"] for column in columns}
    kinds = {name: kind for name, kind in types.items() if used & {name, *(f"{name}_{part}" for part in DERIVED)}}
    covered = {f"{name}_{part}" for name, kind in kinds.items() for part in DERIVED if kind == "date"} | kinds.keys()
    return kinds | {column["name"]: column["kind"] for column in columns if column["name"] not in covered}


def inputs_of(
    columns: Columns,
    types: Mapping[str, str],
    cells: Mapping[str, Sequence[Any]],
    strict: bool = False,
    dates: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the inputs of a model for rows, and one sentence for each column in which something became unknown."""
    # With `strict`, a cell of another kind and a misspelled column are errors. `dates` are the forms of columns.
    table = {tabular.plain_name(name): [tabular.cell(value) for value in values] for name, values in cells.items()}
    table |= {name: tabular.as_iso(table[name], form) for name, form in dates.items() if name in table}
    given = {column["name"] for column in columns} & table.keys()
    kinds = kinds_of(columns, types)
    if not given and not kinds.keys() & table.keys():
        raise DataError(f"none of the columns {', '.join(kinds)} is there, but {', '.join(cells) or 'nothing'}", USAGE)
    count, remarks = len(next(iter(table.values()))), []
    values: tabular.Table = {}
    for name, kind in kinds.items():
        parts = {f"{name}_{part}" for part in DERIVED} & given if kind == "date" else set()
        if name not in table and not parts:
            if strict and (others := near(name, table.keys() - kinds.keys())):
                raise DataError(f"there is no column {name}, but {others[0]}: rename it", USAGE)
            remarks.append(f"{name}: there is no such column; it is unknown in every row")
        column, wrong = _readable(table.get(name, [""] * count), kind)
        values |= tabular.values_of(name, column, kind)
        values |= {part: _of_kind(table[part], part, columns) for part in parts}
        if wrong and strict:
            row = table[name].index(wrong[0]) + 1
            raise DataError(f"{name}, row {row}: {wrong[0][:80]!r} is not a {kind}", USAGE)
        if wrong:
            remarks.append(f"{name}: {len(wrong)} cells are no {kind}, such as {wrong[0][:40]!r}; they are unknown")
    inputs = {}
    for column in columns:
        name, found = column["name"], values[column["name"]]
        if column["kind"] == "number":
            inputs[name] = found.astype(np.float32)  # NaN where it is missing
            continue
        known = set(column["vocabulary"])
        new = [value for value in found if value and value not in known]
        if new:
            remarks.append(f"{name}: {len(new)} values are none of those in training, such as {new[0][:40]!r}; unknown")
        inputs[name] = np.array([value.encode() for value in found], object)
    return inputs, remarks


def _readable(cells: Sequence[str], kind: str) -> tuple[list[str], list[str]]:
    """Return the cells with "" for those that are not of this kind, and those."""
    wrong = [] if kind == "category" else [c for c in cells if not tabular.is_missing(c) and not tabular.is_of(c, kind)]
    unreadable = set(wrong)
    return ["" if cell in unreadable else cell for cell in cells], wrong


def _of_kind(cells: Sequence[str], name: str, columns: Columns) -> np.ndarray:
    kind = next(column["kind"] for column in columns if column["name"] == name)
    return tabular.values_of(name, _readable(cells, kind)[0], kind)[name]


def endpoint(base: Endpoint, columns: Columns, types: Mapping[str, str]) -> Endpoint:
    """Return `rows`: the columns of the file, with dates as ISO 8601 strings, -> the outputs of `base`."""
    # Missing: NaN, an empty category or a usual mark of one, a string that is no date. Only SavedModels carry it.
    from export.contract import Endpoint, Tensor

    described = {column["name"]: column for column in columns}
    inputs = []
    for name, kind in kinds_of(columns, types).items():
        if kind == "date":
            examples = tuple(_date_of(described.get(f"{name}_days"), share) for share in (0.0, 0.5, 1.0))
            inputs.append(Tensor(name, "string", (None,), "category", vocabulary=("", *examples), missing=""))
        elif kind == "number":
            low, high = described[name]["low"], described[name]["high"]
            inputs.append(Tensor(name, "float32", (None,), "tensor", low=low, high=high, missing="NaN"))
        else:
            vocabulary = ("", *described[name]["vocabulary"])
            inputs.append(Tensor(name, "string", (None,), "category", vocabulary=vocabulary, missing=""))

    def call(row: Mapping[str, Any]) -> Mapping[str, Any]:
        import tensorflow as tf

        values: dict[str, Any] = {}
        for tensor in inputs:
            value = row[tensor.name]
            if kinds[tensor.name] == "date":
                values |= _parts_of_date(tensor.name, value)
            elif tensor.dtype == "string":
                plain = tf.strings.strip(value)
                values[tensor.name] = tf.where(tf.strings.regex_full_match(plain, MISSING), "", plain)
            else:
                values[tensor.name] = value
        return base.call({name: values[name] for name in described})

    kinds = kinds_of(columns, types)
    return Endpoint("rows", tuple(inputs), base.outputs, call, formats=("saved_model",), structure="dict")


def _date_of(column: Mapping[str, Any] | None, share: float) -> str:
    low, high = (column["low"], column["high"]) if column else (0.0, 20_000.0)
    return str(np.datetime64("1970-01-01") + np.timedelta64(round(low + share * (high - low)), "D"))


def _parts_of_date(name: str, text: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the derived columns of ISO dates (B,), as `tabular.values_of` does: NaN and "" for what is no date."""
    import tensorflow as tf

    plain = tf.strings.strip(text)
    is_date = tf.strings.regex_full_match(plain, DATE)
    safe = tf.where(is_date, plain, "1970-01-01")
    year, month, day = (
        tf.strings.to_number(tf.strings.substr(safe, start, size), tf.int64) for start, size in ((0, 4), (5, 2), (8, 2))
    )
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = tf.gather(tf.constant(MONTH_ENDS, tf.int64), tf.clip_by_value(month - 1, 0, 11))
    last += tf.cast(is_leap & (month == 2), tf.int64)
    is_date &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= last)
    # days since 1970 of the civil calendar, whose years begin in March (Hinnant 2013, chrono-compatible algorithms)
    shifted = year - tf.cast(month <= 2, tf.int64)
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + in_year - 719468
    weekday = tf.gather(tf.constant(WEEKDAYS), (days + 3) % 7)
    return {
        f"{name}_days": tf.where(is_date, tf.cast(days, tf.float32), float("nan")),
        f"{name}_month": tf.where(is_date, tf.strings.substr(safe, 5, 2), ""),
        f"{name}_weekday": tf.where(is_date, weekday, ""),
    }
