"""Dates as people write them, and as ISO 8601 does: a task from text to text that needs no source but arithmetic.

Sources:   data_dir (a .csv or .tsv with the columns source and target), else made here: the same pairs everywhere.
Features:  {"source": "Tuesday, March 3, 1987", "target": "1987-03-03"}, UTF-8 strings.
Splits:    "official": 30,000 / 2,000 / 2,000 days of the years 1900 to 2099; no day is in two of them. Percentages
           divide the 30,000, or all of the user's pairs (90/5/5 if not told).
Licence:   made here, Apache-2.0. Points and dashes put the day first, slashes the month; years have four digits.
"""

from __future__ import annotations

import datetime
import hashlib
import os

from pipelines.dataset import Dataset
from pipelines.text import pairs

NAME = "dates"
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
COUNTS = {"train": 30_000, "validation": 2_000, "test": 2_000}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (  # the module calendar has them in the language of the machine
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
FORMS = (
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "{mon} {d} {y}",
    "{d}{th} of {month} {y}",
    "{month} {d}{th}, {y}",
    "the {d}{th} of {month}, {y}",
    "{weekday}, {month} {d}, {y}",
    "{weekday} {d} {month} {y}",
    "{day}, {dd} {mon} {y}",
    "{d}.{m}.{y}",
    "{dd}-{mon}-{y}",
    "{mm}/{dd}/{y}",
    "{y}, {month} {d}",
    "{y}{mm}{dd}",
)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    return pairs.load(
        NAME,
        data_dir,
        split,
        lambda: ("made by pipelines/datasets/dates.py", _make()),
        licence="Apache-2.0",
        homepage="https://www.iso.org/iso-8601-date-and-time-format.html",
    )


def _make() -> dict[str, pairs.Rows]:
    """Return the pairs by split; order, form and case of a day are decided by its hash alone."""
    days = range(FIRST.toordinal(), LAST.toordinal() + 1)
    drawn = sorted((hashlib.sha256(str(day).encode()).digest(), day) for day in days)
    parts, begin = {}, 0
    for name, count in COUNTS.items():
        parts[name] = [_pair(digest, day) for digest, day in drawn[begin : begin + count]]
        begin += count
    return parts


def _pair(digest: bytes, ordinal: int) -> tuple[str, str]:
    day = datetime.date.fromordinal(ordinal)
    text = written(day, FORMS[digest[-1] % len(FORMS)])
    return {0: text.lower(), 1: text.upper()}.get(digest[-2] % 5, text), day.isoformat()


def written(day: datetime.date, form: str) -> str:
    """Return a day in one of `FORMS`."""
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    tail = "th" if 11 <= day.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return form.format(
        d=day.day,
        dd=f"{day.day:02}",
        th=tail,
        m=day.month,
        mm=f"{day.month:02}",
        mon=month[:3],
        month=month,
        day=weekday[:3],
        weekday=weekday,
        y=day.year,
    )
