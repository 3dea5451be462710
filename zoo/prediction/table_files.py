"""Rows of a table, of a file or in memory, as columns of cells; and predictions as CSV."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import catalogue, tabular
from pipelines.dataset import Info
from zoobase.errors import UsageError
from zoobase.files import write_atomic

Cells = Mapping[str, Sequence[Any]]  # column -> its cells

SUFFIXES = (".csv", ".tsv", ".parquet")


def is_table(argument: str) -> bool:
    """Whether an argument names a table file: a row as JSON does not."""
    return argument.lower().endswith(SUFFIXES) and not argument.lstrip().startswith("{")


def tables_of(rows: Any, info: Info) -> Iterator[tuple[str, Cells | str]]:
    """Yield (name, columns) of what is a table in Python: a file, rows as dictionaries, columns, a data frame."""
    # A row as JSON is yielded as it is.
    if isinstance(rows, str | Path):
        yield (f"{rows}:", read_cells(str(rows), info)) if is_table(str(rows)) else (str(rows), str(rows))
    elif hasattr(rows, "get_columns"):  # a frame of polars
        yield "", {series.name: series.to_list() for series in rows.get_columns()}
    elif hasattr(rows, "items"):
        columns = dict(rows.items())
        is_row = all(isinstance(value, str) or not hasattr(value, "__len__") for value in columns.values())
        yield "", {str(name): [value] if is_row else list(value) for name, value in columns.items()}
    elif len(rows) and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        yield "", {str(name): [row.get(name) for row in rows] for name in names}
    elif getattr(rows, "ndim", 1) == 2:
        names = [column["name"] for column in info.statistics["columns"]]
        if len(names) != rows.shape[1]:
            raise UsageError(f"an array of {rows.shape[1]} columns: the model takes {', '.join(names)}")
        yield "", dict(zip(names, rows.T, strict=True))
    else:
        for row in rows:
            yield from tables_of(row, info)


def read_cells(path: str, info: Info) -> Cells:
    """Return the columns of a table file, in the form of the dataset's features."""
    return catalogue.as_features(tabular.read_table(Path(path)), info)


def write_csv(out: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to a CSV file; "-" is standard output."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))  # an empty text has no words, for example
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain_cell(value) for name, value in row.items()} for row in rows)
    content = text.getvalue().encode(errors="surrogateescape")  # names of files need not be UTF-8
    if out == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        write_atomic(Path(out), content)


def _plain_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
