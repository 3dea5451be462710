"""Tables of predictions as CSV."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoobase.files import write_atomic


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
