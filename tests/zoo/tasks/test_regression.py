"""Regression: gradient boosting as its users fit it, and models of counts."""

import csv

import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines import tabular
from pipelines.datasets import bike_sharing
from pipelines.sources import storage
from tests.zoo.conftest import FIXTURES
from zoo import predict
from zoo.candidates import boosting as gradient_boosting
from zoo.candidates.boosting import CATEGORIES, fit_boosting, most_iterations
from zoobase.console import Console


def skewed(seed):
    """Positive targets whose effects and whose noise are factors."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(400, 2))
    return x, np.exp(3 * x[:, 0] + rng.normal(0, 1, 400)), [False, False]


@pytest.mark.extended
def test_gradient_boosting_has_the_better_transform_on_validation():
    x, y, categories = skewed(1)
    boosting = fit_boosting(skewed(0), (x[:199], y[:199], categories))  # too few to search settings, too
    assert boosting.target == "log1p"
    x, y, categories = skewed(0)
    below_zero = (x, y - 1, categories)
    assert fit_boosting(below_zero, below_zero).target == ""


def test_gradient_boosting_sees_what_is_missing_and_any_number_of_categories():
    """A missing value is not its column's mean, and an unknown category is a missing one."""
    rng = np.random.default_rng(0)
    x = np.stack([np.where(rng.random(600) < 0.3, np.nan, rng.normal(size=600)), rng.integers(0, 300, 600)], axis=1)
    y = np.isnan(x[:, 0]).astype(float)
    boosting = fit_boosting((x, y, [False, True]), (x[:100], y[:100], [False, True]), classes=3)
    assert len(boosting.ids[1]) == CATEGORIES
    logits = boosting.log_probabilities(np.array([[np.nan, 5000], [0, np.nan], [np.nan, x[0, 1]]]), classes=3)
    assert logits.shape == (3, 3)
    assert (logits[:, 2] < -600).all()  # a class that no row has
    assert (boosting.log_probabilities(x, 3).argmax(1) == y).all()


def test_gradient_boosting_of_many_classes_is_bounded(monkeypatch, caplog):
    """200 classes took 555 s: what a tree costs is a function of the shapes, so that the fit is the same anywhere."""
    assert most_iterations(15_475, 11, 0) == most_iterations(15_475, 11, 2) == 1000
    assert 20 <= most_iterations(5000, 10, 200) < 60
    monkeypatch.setattr(gradient_boosting, "LONGEST", 0)
    monkeypatch.setattr(storage.log, "propagate", True)
    x, y, categories = skewed(0)
    with caplog.at_level("INFO", logger=storage.log.name):
        boosting = fit_boosting((x, y, categories), (x, y, categories))
    assert boosting.model.n_iter_ == 20
    assert "at most 20 iterations, of 1 trees" in caplog.text
    assert "gradient boosting: 6 fits, " in caplog.text  # four kinds, and two of other leaves at the default rate


def test_rentals_are_never_negative():
    model = zoo.build("bike_sharing")
    model.set_weights([3 * w if w.dtype.kind == "f" else w for w in model.get_weights()])  # large outputs of both signs
    rng = np.random.default_rng(0)
    rows = {
        "hour": np.array([f"{h % 24:02d}" for h in range(200)], object),
        "temperature": rng.normal(16, 9, 200).astype("float32"),
    }
    rentals = model({name: tf.constant(column) for name, column in rows.items()}).numpy()
    assert (rentals >= 0).all()
    assert np.isfinite(rentals).all()


@pytest.mark.extended
def test_rows_of_the_raw_file_of_uci(trained, tmp_path):
    """The columns that the model was trained from, in the units of either source, in any order, with missing cells."""
    raw = tabular.read_csv(FIXTURES / "bike_sharing.csv")
    source = trained("bike_sharing")
    rows = predict.run(source, [str(FIXTURES / "bike_sharing.csv")]).rows
    opened = zoo.load(source)
    table = bike_sharing._read(FIXTURES / "bike_sharing.csv")
    inputs, _ = opened.task.read_rows(
        {n: table[n] for n in (*bike_sharing.CATEGORIES, *bike_sharing.NUMBERS)}, opened.info
    )
    want = opened.call("serving_default", inputs)["prediction"]
    hours = [(date, bike_sharing._hour_of(hour)) for date, hour in zip(raw["dteday"], raw["hr"], strict=True)]
    got = np.array([row["count"] for row in rows])[sorted(range(len(hours)), key=hours.__getitem__)]
    np.testing.assert_allclose(got, want, rtol=1e-4)

    codes = {c: {v: k for k, v in labels.items()} for c, labels in bike_sharing.LABELS.values()}
    scaled = {c: [str((float(v) - b) / a) for v in raw[c]] for c, a, b in bike_sharing.UNITS.values()}
    coded = {c: [codes[c].get(v, v) for v in raw[c]] for c in codes} | scaled
    coded |= {"hr": [str(h) for _, h in hours], "dteday": raw["dteday"], "instant": ["1"] * len(hours)}
    with (tmp_path / "hour.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(coded), *zip(*coded.values(), strict=True)])
    again = [row["count"] for row in predict.run(source, [str(tmp_path / "hour.csv")]).rows]
    np.testing.assert_allclose(again, [row["count"] for row in rows], rtol=1e-3)

    (tmp_path / "few.csv").write_text("hr,dteday,temp\n25,soon,\n5pm,2012-06-01,0.5\n")
    some = predict.run(source, [str(tmp_path / "few.csv")], console=Console()).rows
    assert len(some) == 2
    assert all(np.isfinite(row["count"]) for row in some)
