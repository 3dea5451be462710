"""Tables of predictions: CSV in one piece, and a Parquet file of parts that is finished after an interruption."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.sources.storage import LOCK
from zoobase.errors import UsageError
from zoobase.files import locked, write_atomic

if TYPE_CHECKING:
    import pyarrow

PROBLEMS = b"problems"  # key of a part's metadata: JSON [[input, reason], ...]


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


class Parts:
    """The finished parts of a table OUT.parquet, in the folder OUT.parquet.parts beside it."""

    # Each part has the rows of some consecutive inputs, and what was wrong with others of them. It is written
    # atomically: after an interruption, a part is there as a whole or missing.
    def __init__(self, out: Path) -> None:
        self.out, self.errors = out, out.with_suffix(".errors.csv")
        self.folder = out.with_name(f"{out.name}.parts")

    @contextlib.contextmanager
    def opened(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Use the folder in the block; UsageError if another process does, or its parts have other settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / LOCK, wait=False))
            except BlockingIOError:
                raise UsageError(f"another process writes {self.out}: wait for it, or name another file") from None
            file = self.folder / "settings.json"
            if file.is_file():
                begun = json.loads(file.read_text())
                if other := [name.replace("_", " ") for name in settings if settings[name] != begun.get(name)]:
                    raise UsageError(
                        f"{self.folder} has parts of a prediction with other settings ({', '.join(other)}): repeat its "
                        "command to finish it, or remove the folder"
                    )
            else:
                write_atomic(file, json.dumps(settings, indent=2))
            yield

    def missing(self, count: int) -> list[int]:
        """Return the numbers of those of `count` parts that are not finished."""
        return [i for i in range(count) if not self._path(i).is_file()]

    def write(self, number: int, rows: Sequence[Mapping[str, Any]], problems: Sequence[tuple[str, str]]) -> None:
        """Write a part; `problems` are the inputs without a prediction, each with the reason."""
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.Table.from_pylist([{name: _utf8(value) for name, value in row.items()} for row in rows])
        content = io.BytesIO()
        parquet.write_table(table.replace_schema_metadata({PROBLEMS: json.dumps(problems)}), content)
        write_atomic(self._path(number), content.getvalue())

    def merge(self, count: int) -> tuple[int, int]:
        """Write the table and the side table from `count` parts, remove the folder; return (rows, missing inputs)."""
        problems = self._merge_problems(count)
        rows = self._merge_rows(count)
        shutil.rmtree(self.folder)
        return rows, problems

    def _merge_problems(self, count: int) -> int:
        from pyarrow import parquet

        number, draft = 0, self.folder / self.errors.name
        with draft.open("w", newline="", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("input", "reason"))
            for i in range(count):
                problems = json.loads(parquet.read_schema(self._path(i)).metadata[PROBLEMS])
                writer.writerows(map(_plain_cell, problem) for problem in problems)
                number += len(problems)
        _publish(draft, self.errors, number > 0)
        return number

    def _merge_rows(self, count: int) -> int:
        import pyarrow as pa
        from pyarrow import parquet

        schema = pa.schema([])
        for i in range(count):  # a value may be missing in all rows of a part
            part = parquet.read_schema(self._path(i)).remove_metadata()
            schema = pa.unify_schemas([schema, part], promote_options="permissive")
        number, draft = 0, self.folder / self.out.name
        with parquet.ParquetWriter(draft, schema) as writer:
            for i in range(count):
                table = parquet.read_table(self._path(i))
                if table.num_rows:
                    writer.write_table(_with_schema(table, schema))
                    number += table.num_rows
        _publish(draft, self.out, number > 0)
        return number

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:07d}.parquet"


def _publish(draft: Path, path: Path, is_wanted: bool) -> None:
    """Move a finished file to its place, or remove what an earlier prediction left there."""
    if not is_wanted:
        path.unlink(missing_ok=True)
        return
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def _with_schema(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow as pa

    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _utf8(value: Any) -> Any:
    """Return a value that Parquet takes: names of files need not be UTF-8, its texts are."""
    return os.fsencode(value).decode(errors="backslashreplace") if isinstance(value, str) else value
