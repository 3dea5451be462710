"""Tables: reading, statistics of the training rows, splits by time, and errors."""

import csv

import numpy as np
import pytest

import pipelines
from pipelines import tabular
from pipelines.datasets import bike_sharing
from tests.pipelines.conftest import FIXTURES

BIKES = FIXTURES / "bike_sharing.csv"
ROW = BIKES.read_text().split("\n")[7]


@pytest.fixture(scope="module")
def bikes():
    return pipelines.load("bike_sharing", data_dir=BIKES)


def test_the_test_split_is_the_last_three_weeks(bikes):
    days = {split: tabular.collect(bikes[split])["days"] for split in ("train", "validation", "test")}
    assert days["train"].max() < days["validation"].min() <= days["validation"].max() < days["test"].min()
    assert len(np.unique(days["test"])) == 21
    assert all((np.diff(d) >= 0).all() for d in days.values())
    assert bikes.info.counts == {split: len(d) for split, d in days.items()}


def test_columns_are_described_by_training_rows_only(bikes):
    train = tabular.collect(bikes.train)
    described = {c["name"]: c for c in bikes.info.statistics["columns"]}
    assert described["temperature"]["mean"] == pytest.approx(train["temperature"].mean(), rel=1e-6)
    assert described["days"]["high"] == train["days"].max()
    assert described["month"]["vocabulary"] == sorted(set(train["month"]))
    assert "Dec" not in described["month"]["vocabulary"]  # the test is in December


def test_the_numbers_of_uci_equal_the_strings_of_the_package(tmp_path, bikes):
    """The fixture has the strings of the package; with the codes of UCI it must give the same table."""
    rows = list(csv.DictReader(BIKES.open()))
    codes = {
        "season": {v: k for k, v in bike_sharing.SEASONS.items()},
        "weathersit": {v: k for k, v in bike_sharing.WEATHER.items()},
        "holiday": {v: k for k, v in bike_sharing.YES.items()},
        "workingday": {v: k for k, v in bike_sharing.YES.items()},
    }
    scale = {"temp": (47, -8), "atemp": (66, -16), "hum": (100, 0), "windspeed": (67, 0)}
    for row in rows:
        row |= {name: code.get(row[name], row[name]) for name, code in codes.items()}
        row |= {name: str((float(row[name]) - low) / width) for name, (width, low) in scale.items()}
        row["hr"] = str(int(row["hr"][:-2]) % 12 + 12 * row["hr"].endswith("pm"))
    with (tmp_path / "hour.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    ours = tabular.collect(pipelines.load("bike_sharing", data_dir=BIKES).train)
    theirs = tabular.collect(pipelines.load("bike_sharing", data_dir=tmp_path).train)
    for name, values in ours.items():
        if values.dtype == object:
            assert values.tolist() == theirs[name].tolist()
        else:
            np.testing.assert_allclose(theirs[name], values, atol=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dteday,season\n2011-01-01,1\n", "has no column hr"),
        ("", "it has nothing"),
        (BIKES.read_text().split("\n")[0] + "\n", "no rows"),
        (BIKES.read_text().replace("3pm", "25", 1), "hr is '25'"),
        (BIKES.read_text().replace("2012-12-31", "tomorrow", 1), "dteday is 'tomorrow'"),
        ("\n".join(x for x in BIKES.read_text().split("\n") if not x.startswith("2012-1")), "too few"),
        (BIKES.read_text()[:3000].rsplit(",", 4)[0], "the row ends before column"),
        (BIKES.read_text().replace(ROW, ROW.rpartition(",")[0] + ",many"), "row 7: cnt is 'many', not a number"),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
    ],
)
def test_errors_in_tables(tmp_path, content, message):
    path = tmp_path / "hour.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(pipelines.DataError, match=message):
        pipelines.load("bike_sharing", data_dir=path)


def test_categories_are_utf8():
    table = {"town": np.array(["Köln", "Bonn"], object)}
    assert [row["town"].decode() for row in tabular.dataset(table).as_numpy_iterator()] == ["Köln", "Bonn"]
