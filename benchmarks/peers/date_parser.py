"""Exact matches of python-dateutil, the usual parser of dates, on the test split of `dates`.

    python -m benchmarks.peers.date_parser        # a second, prints JSON

Whether the month or the day comes first in 3/4/1999 is chosen on validation.
"""

import json
from collections.abc import Sequence

from dateutil import parser

import pipelines


def main() -> None:
    """Parse every date of the test split, and print the share that is right."""
    data = pipelines.load("dates")
    rows = {
        name: [(example["source"].decode(), example["target"].decode()) for example in data[name].as_numpy_iterator()]
        for name in ("validation", "test")
    }
    first = max((False, True), key=lambda day: exact(rows["validation"], day))
    print(json.dumps({"examples": len(rows["test"]), "day_first": first, "exact": exact(rows["test"], first)}))


def exact(rows: Sequence[tuple[str, str]], day_first: bool) -> float:
    """Return the share of the rows (text, ISO date) that are parsed to their date."""
    return sum(parsed(text, day_first) == date for text, date in rows) / len(rows)


def parsed(text: str, day_first: bool) -> str:
    """Return the ISO date of a text; empty if it is no date for the parser."""
    try:
        return parser.parse(text, dayfirst=day_first).date().isoformat()
    except (parser.ParserError, OverflowError):
        return ""


if __name__ == "__main__":
    main()
