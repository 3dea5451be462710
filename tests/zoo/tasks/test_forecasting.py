"""Tests of forecasts: times, windows, naive candidates, the forecast that follows a file."""

import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from pipelines import series, tabular
from tests.zoo.conftest import data_dir, fit
from zoo.candidates import series as candidates
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoobase.errors import DataError, UsageError


def lines_of_series():
    return Path(data_dir("forecast")).read_text().split("\n")


SMALL = {"task.horizon": 6, "task.history": 48, "task.known": "workingday"}


def grid(*times):
    return series.grid_of(np.array(times, "datetime64[m]"))


def test_the_interval_of_times():
    hours = grid("2024-01-01T22:00", "2024-01-01T23:00", "2024-01-02T02:00", "2024-01-02T03:00")
    assert (hours.interval, hours.season, hours.places(hours.times(np.arange(9))).tolist()) == (
        "hour",
        24,
        list(range(9)),
    )
    months = grid("2023-11-01", "2023-12-01", "2024-01-01", "2024-03-01")
    assert (months.interval, months.season, str(months.times([4])[0])) == ("month", 12, "2024-03-01T00:00")
    assert grid("2024-01-01", "2024-01-08", "2024-01-15").interval == "week"
    with pytest.raises((DataError, UsageError), match="2024-01-01 22:30 is between two times"):
        hours.places(np.array(["2024-01-01T22:30"], "datetime64[m]"))
    with pytest.raises((DataError, UsageError), match="two rows have the time 2024-01-01"):
        grid("2024-01-01", "2024-01-01", "2024-01-02")


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2012-12-31", "2012-01-02 17:00"], ""),
        (["2012/12/31", "2012/01/02"], "%Y/%m/%d"),
        (["31.12.2012", "1.2.2012 17:00"], "%d.%m.%Y"),
        (["12/31/2012", "1/2/2012"], "%m/%d/%Y"),
        (["31/12/2012", "1/2/2012"], "%d/%m/%Y"),
        (["31.12.2012", "12/31/2012"], None),
        (["1.5", "2"], None),
    ],
)
def test_the_forms_of_dates(cells, form):
    assert tabular.date_form(cells) == form
    if form is not None:
        assert tabular.infer(cells) == "date"
        assert tabular.as_iso(["", *cells], form)[:2] in (["", "2012-12-31 00:00:00"], ["", "2012-12-31"])


def test_naive_candidates_are_what_they_are_called(tmp_path):
    plan = make_plan("forecast", data_dir=data_dir("forecast"), settings=SMALL)
    dataset = plan.load_data()
    batch, truth = next(iter(plan.feed(dataset, "test").batches(5)))
    history = np.asarray(batch["history"])
    steps = np.arange(1, 7)
    expected = {
        "last": np.repeat(history[:, -1:], 6, axis=1),
        "seasonal": history[:, 24:30],
        "drift": history[:, -1:] + steps * (history[:, -1:] - history[:, :1]) / 47,
    }
    for name, values in expected.items():
        candidate = plan.task.candidates(dataset.info)[name]
        model = candidate.build(name, **plan.task.model_args(dataset.info))
        candidate.fit(model, plan, dataset)
        np.testing.assert_allclose(np.asarray(model(batch)), values, rtol=1e-5, atol=1e-2)
    rows = (plan.task.metrics({"forecast": values}, np.asarray(truth), dataset.info) for values in expected.values())
    assert all(0 < row["mase"] < 10 for row in rows)
    scale = dataset.info.statistics["series"]["scale"]
    values = [float(line.split(",")[2]) for line in lines_of_series()[1:361]]
    assert scale == pytest.approx(np.mean(np.abs(np.subtract(values[24:], values[:-24]))))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A forecast with candidates."""
    folder = tmp_path_factory.mktemp("forecast") / "run"
    fit("forecast", folder, SMALL | {"recipe.epochs": 1}, candidates="seasonal,ridge")
    return folder


def test_the_better_candidate_is_selected(run):
    trials = json.loads((run / "candidates.json").read_text())
    values = {row["name"]: row["value"] for row in trials["candidates"]}
    assert trials["selected"] == "ridge"
    assert values["ridge"] < values["seasonal"]
    result = json.loads((run / "evaluation.json").read_text())
    assert 0.5 < result["conformal"]["coverage"] <= 1
    assert (run / "figures" / "forecast.png").is_file()


def test_the_forecast_follows_the_file(run, tmp_path):
    lines = lines_of_series()
    path = tmp_path / "now.csv"
    path.write_text("\n".join([*lines[:301], *(f"{line.rsplit(',', 1)[0]}," for line in lines[301:307])]))
    (prediction,) = zoo.load(str(run)).predict(path)
    assert [row["time"] for row in prediction.rows] == [line.split(",")[0] for line in lines[301:307]]
    folder = RunFolder.open(run)
    known = folder.info().statistics["series"]
    inputs = {"history": [[float(line.split(",")[2]) for line in lines[253:301]]]}
    times = np.array([line.split(",")[0] for line in lines[253:307]], "datetime64[m]")
    calendar, _ = series.calendar(times, series.Grid(**known["grid"]))
    working = [[line.split(",")[1] == "Yes"] for line in lines[253:307]]
    inputs["known"] = np.concatenate([calendar, working], axis=1)[None]
    expected = folder.model()({name: np.asarray(value, np.float32) for name, value in inputs.items()})
    np.testing.assert_allclose([row["rentals"] for row in prediction.rows], np.asarray(expected)[0], atol=0.01)
    path.write_text("\n".join(lines[:301]))
    with pytest.raises((DataError, UsageError), match="add 6 rows with workingday, and without rentals"):
        zoo.load(str(run)).predict(path)


def test_a_series_that_cannot_be_used(tmp_path):
    lines = lines_of_series()
    path = tmp_path / "series.csv"
    for rows, settings, message in (
        (lines[:40], {}, "39 rows are too few for a history of 25 and a horizon of 14"),
        ([*lines[:100], lines[50]], {}, "two rows have the time 2012-09-15 01:00"),
        (["a,b", *["1,2"] * 20], {}, "no column has dates"),
        (lines, {"task.known": "workinday"}, "did you mean workingday"),
        (lines, {"task.horizon": 0}, "task.horizon=0 is not valid"),
    ):
        path.write_text("\n".join(rows))
        with pytest.raises((DataError, UsageError), match=message):
            make_plan("forecast", data_dir=str(path), settings=settings).load_data()


@pytest.mark.extended
@pytest.mark.parametrize("name", ["ridge", pytest.param("boosting", marks=pytest.mark.proof)])
def test_a_candidate_is_proven_in_every_format(name, tmp_path):
    summary = fit("forecast", tmp_path / "run", SMALL, candidates=name, export=True)
    (bundle,) = summary["bundles"]
    assert bundle["verdict"] == "pass"
    states = {
        row["format"]: row["state"]
        for row in json.loads((tmp_path / "run/bundle/parity.json").read_text())["artifacts"]
    }
    assert states["tflite"] == "pass"
    assert candidates.ladder(24)[name].title
