"""Time series: times with one interval, values without gaps, features of the calendar, windows."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines import tabular
from pipelines.sources import storage
from zoobase.errors import USAGE, DataError

DAY = 24 * 60  # minutes
SEASONS = {("m", 60): 24, ("m", DAY): 7, ("m", 7 * DAY): 52, ("M", 1): 12, ("M", 3): 4}  # rows, of usual intervals
MOST = 20_000  # windows of a split; of more, every second or third one is taken


@dataclass(frozen=True)
class Grid:
    """Equally spaced times."""

    start: str  # the first one, ISO 8601
    step: int  # the interval, in minutes or months
    unit: str  # "m", or "M"

    def times(self, places: np.ndarray) -> np.ndarray:
        """Return the times at places, counted from the first one: datetime64[m] (N,)."""
        start = np.datetime64(self.start, "m")
        if self.unit == "m":
            return start + np.asarray(places) * np.timedelta64(self.step, "m")
        months = start.astype("datetime64[M]") + np.asarray(places) * np.timedelta64(self.step, "M")
        return months.astype("datetime64[m]") + (start - start.astype("datetime64[M]"))

    def places(self, times: np.ndarray) -> np.ndarray:
        """Return the places of times, int64 (N,); DataError names one that is between two."""
        start = np.datetime64(self.start, "m")
        if self.unit == "m":
            places = np.round((times - start) / np.timedelta64(self.step, "m")).astype(np.int64)
        else:
            months = times.astype("datetime64[M]") - start.astype("datetime64[M]")
            places = months.astype(np.int64) // self.step
        if (wrong := np.flatnonzero(self.times(places) != times)).size:
            raise DataError(
                f"{shown(times[wrong[0]])} is between two times of the series, which has one every {self.interval}: "
                "give rows at equal intervals",
                USAGE,
            )
        return places

    @property
    def interval(self) -> str:
        """The interval in words."""
        names = {
            "M": ((12, "years"), (1, "months")),
            "m": ((7 * DAY, "weeks"), (DAY, "days"), (60, "hours"), (1, "minutes")),
        }
        size, name = next((size, name) for size, name in names[self.unit] if self.step % size == 0)
        count = self.step // size
        return name[:-1] if count == 1 else f"{count} {name}"

    @property
    def season(self) -> int:
        """Rows of the usual season of this interval: 24 of hours, 7 of days, 52 of weeks, 12 of months; else 1."""
        return SEASONS.get((self.unit, self.step), 1)


def shown(time: np.datetime64) -> str:
    """Return a time for people: 2024-01-31 17:00, or only the day at midnight."""
    return str(time).replace("T", " ").removesuffix(" 00:00")


def grid_of(times: np.ndarray) -> Grid:
    """Return the grid of sorted times (N,): the commonest difference between two; DataError for equal times."""
    if len(times) < 3:
        raise DataError(f"a series of {len(times)} rows is too short", USAGE)
    differences = np.diff(times).astype(np.int64)
    if (equal := np.flatnonzero(differences == 0)).size:
        raise DataError(f"two rows have the time {shown(times[equal[0]])}: give one series, with one row a time", USAGE)
    months = times.astype("datetime64[M]")
    offsets = times - months
    if (offsets == offsets[0]).all() and differences.min() >= 28 * DAY:
        return Grid(str(times[0]), _commonest(np.diff(months).astype(np.int64)), "M")
    return Grid(str(times[0]), _commonest(differences), "m")


def _commonest(values: np.ndarray) -> int:
    numbers, counts = np.unique(values, return_counts=True)
    return int(numbers[counts.argmax()])


def parse_times(cells: Sequence[str], name: str, form: str = "") -> np.ndarray:
    """Return a column of times, datetime64[m] (N,), in UTC if they have a zone; DataError names a cell that is none."""
    times = []
    for i, cell in enumerate(cells):
        if (time := tabular.time_of(cell, form)) is None:
            raise DataError(
                f"{name}, row {i + 1}: {cell[:80]!r} is not a time such as 2024-01-31 or 2024-01-31 17:00", USAGE
            )
        times.append(time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time)
    return np.array(times, "datetime64[m]")


def filled(values: np.ndarray, name: str) -> np.ndarray:
    """Return values (N,) whose gaps, NaN, are filled by a line between the neighbours; the log says how many."""
    gaps = np.isnan(values)
    if gaps.any():
        storage.log.info("%s: %s of %s values are missing and were interpolated", name, gaps.sum(), len(values))
        values = np.interp(np.arange(len(values)), np.flatnonzero(~gaps), values[~gaps])
    return values.astype(np.float32)


def calendar(times: np.ndarray, grid: Grid) -> tuple[np.ndarray, list[str]]:
    """Return features of times (N, F) float32, and their names: of the day, the week and the year."""
    minutes = (times - times.astype("datetime64[D]")).astype(np.int64)
    days, years = times.astype("datetime64[D]"), times.astype("datetime64[Y]")
    columns, names = [], []
    if grid.unit == "m" and grid.step < DAY:
        columns += _circle(minutes / DAY)
        names += ["day_sin", "day_cos"]
    if grid.unit == "m" and grid.step <= DAY:
        weekdays = (days.astype(np.int64) + 3) % 7
        columns += [weekdays == i for i in range(7)]
        names += ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    columns += _circle((days - years.astype("datetime64[D]")).astype(np.int64) / 365.25)
    return np.stack(columns, axis=1).astype(np.float32), [*names, "year_sin", "year_cos"]


def _circle(share: np.ndarray) -> list[np.ndarray]:
    return [np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)]


def windows(values: np.ndarray, size: int) -> np.ndarray:
    """Return every window of neighbouring rows of values (N, ...): (N - size + 1, size, ...), a view.

    Example:
        >>> windows(np.arange(4), 3).tolist()
        [[0, 1, 2], [1, 2, 3]]
    """
    view = np.lib.stride_tricks.sliding_window_view(values, size, axis=0)
    return np.moveaxis(view, -1, 1)
