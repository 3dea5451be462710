"""Any table: types of columns, missing values, splits by rows, groups and time, regression and classes."""

import csv
import dataclasses
import json
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pipelines
import zoo
from pipelines import DataError, splits, tabular
from tests import commands
from tests.zoo.conftest import fit
from tests.zoo.test_cli import cli
from zoo import predict, train
from zoo.candidates import selection, series, tables
from zoo.candidates.boosting import fit_boosting
from zoo.core.plan import make_plan
from zoo.modeling.tabular_inputs import encoded_columns
from zoo.tasks.tabular.table import PARTS, Table
from zoobase.console import Console
from zoobase.errors import UsageError

ROWS = 300
CITIES = ("Berlin", "Paris", "Rome")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Prices that depend on size and city, with missing cells, a rare city, dates and identifiers."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "homes.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "size (m2)", "city", "sold", "owner", "rooms", "price", "kind"])
        for i in range(ROWS):
            size, city = rng.uniform(20, 200), CITIES[rng.integers(3)]
            price = 1000 * size * (1 + CITIES.index(city)) + rng.normal(0, 1000)
            kind = "villa" if size > 120 else "flat"
            cells = ["NA" if i % 20 == 3 else f"{size:.1f}", "Oslo" if i < 2 else city]
            date = f"2024-{1 + i * 12 // ROWS:02d}-15"
            writer.writerow([f"home {i}", *cells, date, f"owner {i % 40}", rng.integers(1, 5), f"{price:.0f}", kind])
    return path


def prepared(file, **settings):
    plan = make_plan("table", data_dir=str(file), settings={f"task.{k}": v for k, v in settings.items()})
    return plan.load_data()


def test_columns_have_types(file):
    info = prepared(file).info
    assert info.statistics["types"] == {
        **{"id": "ignored", "size_m2": "number", "city": "category", "sold": "date", "owner": "category"},
        **{"rooms": "number", "price": "number", "kind": "category"},
    }
    assert info.class_names == ("flat", "villa")
    columns = {column["name"]: column for column in info.statistics["columns"]}
    assert list(columns) == ["size_m2", "city", "sold_days", "sold_month", "sold_weekday", "owner", "rooms", "price"]
    assert columns["city"]["vocabulary"] == sorted(CITIES)  # Oslo is rare
    assert "target" not in columns


def test_missing_numbers_stay_missing_and_are_counted(file):
    dataset = prepared(file)
    sizes = tabular.collect(dataset.train)["size_m2"]
    known = sizes[~np.isnan(sizes)]
    assert 5 <= np.isnan(sizes).sum() <= 15  # of the 15 missing cells
    assert np.isnan(tabular.collect(dataset.test)["size_m2"]).any()
    column = next(c for c in dataset.info.statistics["columns"] if c["name"] == "size_m2")
    assert column["mean"] == pytest.approx(known.mean(), rel=1e-3)
    assert column["missing"] == pytest.approx(np.isnan(sizes).mean())
    assert column["quantiles"][:: tabular.QUANTILES // 2] == pytest.approx(np.quantile(known, [0, 0.5, 1]))


def test_chosen_types(file):
    info = prepared(file, columns={"rooms": "category", "owner": "ignored"}, target_column="rooms").info
    assert info.class_names == ("1", "2", "3", "4")
    assert "owner" not in info.features


@pytest.mark.parametrize("target", ["price", "city"])
def test_groups_are_in_one_split_and_no_input(file, target):
    dataset = prepared(file, groups="owner", target_column=target)
    owners = [set(splits.groups_of(dataset, name)) for name in PARTS]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]
    assert sum(map(len, owners)) == 40
    assert sum(dataset.info.counts.values()) == ROWS
    assert not {"owner", splits.GROUP} & {column["name"] for column in dataset.info.statistics["columns"]}
    assert dataset.info.features[splits.GROUP] == "owner"
    with pytest.raises(UsageError, match=r"task\.groups=owner is neither an input nor the target"):
        prepared(file, groups="owner", target_column=target, columns={"owner": "category"})


def test_equal_rows_are_in_one_split_and_classes_in_proportion(tmp_path):
    """Noise, each row ten times: a row of the test split would be known from training."""
    rng = np.random.default_rng(0)
    distinct = [f"{a:.6f},{b:.6f},{'yes' if c < 0.3 else 'no'}" for a, b, c in rng.random((60, 3))]
    (tmp_path / "noise.csv").write_text("\n".join(["a,b,answer", *rng.permutation(np.repeat(distinct, 10))]) + "\n")
    dataset = prepared(tmp_path / "noise.csv", target_column="answer")
    parts = [tabular.collect(dataset[name]) for name in PARTS]
    rows = [set(part["a"].tolist()) for part in parts]
    assert not rows[0] & rows[1] | rows[0] & rows[2] | rows[1] & rows[2]
    assert [len(part["a"]) for part in parts] == pytest.approx([360, 120, 120], abs=20)
    shares = [part["answer"].mean() for part in parts]
    assert max(shares) - min(shares) < 0.05
    given = pd.read_csv(tmp_path / "noise.csv")  # in memory
    arrays = pipelines.from_arrays(given[["a", "b"]], given["answer"])
    known, *others = [set(tabular.collect(arrays[name])["a"].tolist()) for name in PARTS]
    assert not known & set.union(*others)
    assert arrays.info.counts == {"train": 480, "validation": 60, "test": 60}
    few = {"city": np.array(["Rome", "Paris"] * 50, object), "floor": np.array([1, 2] * 50, np.float32)}
    assert tabular.equal_rows(few).tolist() == list(range(100))  # by chance


def test_rows_in_the_order_of_time(file):
    dataset = prepared(file, time="sold", target_column="price")
    days = [tabular.collect(dataset[name])["sold_days"] for name in PARTS]
    assert days[0].max() <= days[1].min()
    assert days[1].max() <= days[2].min()
    assert dataset.info.counts == {"train": 180, "validation": 60, "test": 60}


@pytest.mark.proof
def test_a_regression_learns_and_is_compared(file, tmp_path):
    settings = {"task.target_column": "price", "recipe.epochs": 25, "recipe.patience": 0, "model.units": (32,)}
    summary = fit("table", tmp_path / "r", settings, data_dir=str(file))
    assert summary["metrics"]["r2"] > 0.8
    assert summary["compared"]["gradient boosting"]["r2"] > 0.8


@pytest.mark.proof  # boosted trees of classes are exported below
def test_classes_are_exported_and_predicted(file, tmp_path):
    settings = {"task.target_column": "city", "task.columns": {"id": "ignored"}}
    settings |= {"recipe.epochs": 2, "model.units": (8,)}
    summary = fit("table", tmp_path / "c", settings, data_dir=str(file), export=True)
    assert summary["bundles"][0]["verdict"] == "pass"
    row = '{"kind": "flat", "sold_month": "07", "sold_weekday": "Mon", "owner": "nobody", "price": 90000}'
    ranked = [predict.run(source, [row], top_k=4).rows for source in (tmp_path / "c", tmp_path / "c" / "bundle")]
    assert ranked[0] == ranked[1]
    assert {prediction["label"] for prediction in ranked[0]} == {*CITIES, "Oslo"}
    titles = {candidate.title for candidate in Table().candidates(prepared(file, target_column="city").info).values()}
    assert set(summary["compared"]) == {"this model", *titles}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"target_column": "prize"}, "did you mean price"),
        ({"target_column": "id"}, "the target id has one value only, or is a date or free text"),
        ({"target_column": "size (m2)"}, "15 rows have no size_m2: remove them"),
        ({"columns": {"rooms": "numbr"}}, "'numbr' is not one of number, category"),
        ({"columns": {"romms": "number"}}, "'romms' is not one of id"),
        ({"columns": {"city": "number"}}, "city is not a number column: it has a cell"),
        ({"groups": "owner", "time": "sold"}, "give one of them"),
        ({"time": "city"}, "is not a column of dates or numbers"),
    ],
)
def test_errors(file, settings, sentence):
    with pytest.raises((UsageError, DataError), match=sentence.replace("(", r"\(")):
        prepared(file, **settings)


def test_numbers_are_encoded_piecewise_linearly():
    """Gorishniy 2022, equation 1, with intervals of equally many rows; a constant column has no interval."""
    quantiles = np.quantile([0.0, 1, 2, 4, 8], np.linspace(0, 1, 65)).tolist()
    number = {"kind": "number", "mean": 3.0, "deviation": 2.0}
    columns = [{**number, "name": "x", "quantiles": quantiles}, {**number, "name": "same", "quantiles": [5.0] * 65}]
    inputs, features = encoded_columns(columns, 0, bins=4)
    rows = {"x": np.float32([-1, 0.5, 3, 9, np.nan]), "same": np.float32([5, 5, 0, 9, 5])}
    encoded = keras.Model(inputs, features)(rows).numpy()[:, 2:].reshape(5, 2, 4)  # behind the normalised values
    want = [[0, 0, 0, 0], [0.5, 0, 0, 0], [1, 1, 0.5, 0], [1, 1, 1, 1], [1, 1, 0.5, 0]]  # NaN is the mean
    np.testing.assert_allclose(encoded[:, 0], want)
    np.testing.assert_array_equal(encoded[:, 1], 0)


def test_a_file_is_needed(tmp_path):
    with pytest.raises(DataError, match="give a CSV file"):
        make_plan("table").load_data()
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    with pytest.raises(DataError, match="two columns are called"):
        prepared(tmp_path / "twice.csv")


def test_inferred_types():
    assert tabular.infer(["1e3", "-2", "?"]) == "number"
    assert tabular.infer(["01/02/2020"] * 3 + ["x"]) == "category"
    assert tabular.infer(["same"] * 9) == "ignored"
    assert tabular.infer(["2020-01-01T10:00:00", "2021-01-01"]) == "date"


def test_a_table_in_memory_keeps_its_types_and_splits():
    columns = {"size (m2)": np.arange(60.0), "city": np.array(CITIES * 20, object)}
    data = pipelines.from_arrays(columns, np.arange(60) % 3, name="homes", class_names=CITIES)
    dataset = make_plan("table").prepare(data)
    assert dataset.info.counts == data.info.counts
    assert [(c["name"], c["kind"]) for c in dataset.info.statistics["columns"]] == [
        ("size_m2", "number"),
        ("city", "category"),
    ]
    train = tabular.collect(dataset.train)
    assert train["target"].dtype == np.int64
    assert train["target"].tolist() == tabular.collect(data.train)["target"].tolist()
    with pytest.raises(UsageError, match=r"task\.groups is about a CSV file: homes has types and splits"):
        make_plan("table", settings={"task.groups": "city"}).prepare(data)
    with pytest.raises(DataError, match="same name but for punctuation"):
        pipelines.from_arrays({"a b": np.arange(60), "a-b": np.arange(60)}, np.arange(60))


# === Rows of a table's own file ===


@pytest.fixture(scope="module")
def homes(file, tmp_path_factory):
    """A run that has learned prices of the file, with its proven bundle."""
    out = tmp_path_factory.mktemp("homes") / "run"
    settings = {"task.target_column": "price", "recipe.epochs": 2, "model.units": (8,)}
    summary = fit("table", out, settings, data_dir=str(file), export=True)
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    return out


@pytest.mark.extended
def test_the_file_that_it_was_trained_on(homes, file, tmp_path):
    result = cli("zoo.predict", homes, file, "-o", tmp_path / "out.csv")
    assert f"written: {tmp_path}/out.csv, 300 rows" in result.stdout
    assert "Oslo" in result.stdout  # rare in training, said once
    assert result.stdout.count("unknown") == 2  # the city and a number of owners
    with (tmp_path / "out.csv").open() as predictions:
        rows = list(csv.DictReader(predictions))
    assert rows[0]["input"] == f"{file}:1"
    plan = make_plan("table", data_dir=str(file), settings={"task.target_column": "price"})
    assert len({row["price"] for row in rows}) > 200
    assert plan.load_data().info.counts["train"] == 180


@pytest.mark.extended
def test_predictions_of_a_file_are_written_to_the_current_folder(homes, file, tmp_path):
    """The command is confined before it opens the run, and may write there."""
    environment = os.environ | {"PYTHONPATH": commands.ROOT}
    ended = commands.run("-m", "zoo.predict", str(homes), str(file), cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 301


def rows_of(path, rows):
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return str(path)


@pytest.mark.extended
def test_any_order_missing_cells_and_other_columns(homes, tmp_path, capsys):
    header = ["size (m2)", "city", "sold", "owner", "rooms", "kind"]
    whole = ["80", "Paris", "2024-05-15", "owner 3", "2", "flat"]
    same = rows_of(tmp_path / "a.csv", [header, whole])
    order = rows_of(tmp_path / "b.csv", [["remark", *header[::-1], "id"], ["new", *whole[::-1], "x"]])
    prices = [predict.run(homes, [path]).rows[0]["price"] for path in (same, order)]
    assert prices[0] == prices[1]
    unknown = [
        ["NaN", "Madrid", "", "null", "", "?"],
        ["much", "Madrid", "soon", "", "NA", "flat"],
        ["", "", "", "", "", ""],
    ]
    result = predict.run(homes, [rows_of(tmp_path / "c.csv", [header, *unknown])], console=Console())
    assert len({row["price"] for row in result.rows}) >= 2
    assert all(np.isfinite(row["price"]) for row in result.rows)
    printed = capsys.readouterr().out
    assert "city: 2 values are none of those in training, such as 'Madrid'" in printed
    assert "size_m2: 1 cells are no number, such as 'much'" in printed
    assert "sold: 1 cells are no date, such as 'soon'" in printed
    with pytest.raises(DataError, match="none of the columns"):
        predict.run(homes, [rows_of(tmp_path / "d.csv", [["x"], ["1"]])])


@pytest.mark.extended
def test_a_row_as_the_file_has_it(homes, tmp_path):
    row = {"size (m2)": 80, "city": "Paris", "sold": "2024-05-15", "owner": "owner 3", "rooms": None, "kind": "flat"}
    file = rows_of(tmp_path / "a.csv", [list(row), ["80", "Paris", "2024-05-15", "owner 3", "", "flat"]])
    (asked,), (read,) = (predict.run(homes, [source]).rows for source in (json.dumps(row), file))
    assert asked["price"] == read["price"]


@pytest.mark.extended
@pytest.mark.parametrize("runtime", [None, "tflite"])
def test_rows_as_python_has_them(homes, tmp_path, runtime):
    row = {"size (m2)": 80.0, "city": "Paris", "sold": "2024-05-15", "owner": "owner 3", "rooms": None, "kind": "flat"}
    other = row | {"size (m2)": float("nan"), "rooms": 3}
    file = rows_of(tmp_path / "a.csv", [[*row], *([v if v == v else None for v in r.values()] for r in (row, other))])
    predictor, columns = zoo.load(homes, runtime), {name: [row[name], other[name]] for name in row}
    inputs = [[row, other], columns, file, Path(file), [file], [json.dumps(row), other], pd.DataFrame([row, other])]
    prices = [[p.rows[0]["price"] for p in predictor.predict(each)] for each in inputs]
    np.testing.assert_allclose(prices, [prices[0]] * len(prices), rtol=1e-6)
    assert predictor.predict(row)[0].rows[0]["price"] == pytest.approx(prices[0][0], rel=1e-6)
    for wrong, sentence in (
        (row | {"size (m2)": "lots"}, "size_m2, row 1: 'lots' is not a number"),
        ({**row, "soled": row["sold"], "sold": None} | {"rooms": "2020-01-01"}, "rooms, row 1: '2020-01-01' is not a"),
        ({"towncity": "Paris", "kind": "flat"}, "there is no column city, but towncity: rename it"),
    ):
        with pytest.raises(DataError, match=sentence):
            predictor.predict([wrong])


@pytest.mark.extended
def test_the_saved_model_takes_raw_strings_and_numbers(homes):
    """The endpoint `rows` derives in the graph what the file reader derives in Python."""
    opened = zoo.load(homes / "bundle", "saved_model")
    tensors = {tensor.name: tensor for tensor in opened.contract["rows"].inputs}
    assert {name: tensor.missing for name, tensor in tensors.items()} == {
        **{"size_m2": "NaN", "city": "", "sold": "", "owner": "", "rooms": "NaN", "kind": ""}
    }
    dates = [
        *("2024-05-15", "1969-12-31", "2000-02-29", "1900-02-29", "2023-13-01", "", "soon", " 2024-02-29T10:00 "),
        *("0001-01-01",),
    ]
    cells = {
        "size (m2)": ["80", "", "12.5", "NaN", "1e2", "33", "null", "7", "9"],
        "city": ["Paris", " Rome ", "", "NULL", "Madrid", "?", "Berlin", "n/a", "Oslo"],
        "sold": dates,
        **{"owner": ["owner 3"] * 9, "rooms": ["2"] * 9, "kind": ["flat", ""] * 4 + ["villa"]},
    }
    inputs, _ = opened.task.read_rows(cells, opened.info)
    want = opened.call("serving_default", inputs)["prediction"]
    raw = {tabular.plain_name(name): values for name, values in cells.items()}
    numbers = {n: [float(v) if v not in ("", "null") else np.nan for v in raw[n]] for n in ("size_m2", "rooms")}
    rows = {n: np.array(numbers[n], np.float32) if n in numbers else np.array(v, object) for n, v in raw.items()}
    np.testing.assert_allclose(opened.call("rows", rows)["prediction"], want, rtol=1e-5)


@pytest.mark.extended
def test_a_missing_number_is_the_mean_in_tflite_too(homes):
    """Of a column without missing cells in training; of another one, that the number is missing is an input."""
    encoded = zoo.load(homes / "bundle", "tflite")
    columns = encoded.info.statistics["columns"]
    row = {
        c["name"] if c["kind"] == "number" else f"{c['name']}_id": np.zeros(
            1, np.float32 if c["kind"] == "number" else np.int64
        )
        for c in columns
    }
    means = {c["name"]: c["mean"] for c in columns if c["kind"] == "number"}
    for name, is_equal in (("rooms", True), ("size_m2", False)):
        got, want = (
            encoded.call("encoded", row | {name: np.float32([v])})["prediction"] for v in (np.nan, means[name])
        )
        assert np.allclose(got, want, rtol=1e-6) == is_equal
        saved = zoo.load(homes / "bundle", "saved_model").call("encoded", row | {name: np.float32([np.nan])})
        np.testing.assert_allclose(got, saved["prediction"], rtol=1e-5)


@pytest.mark.extended
def test_a_parquet_file_is_a_table(homes, file, tmp_path):
    from pyarrow import csv as arrow
    from pyarrow import parquet

    parquet.write_table(arrow.read_csv(file), tmp_path / "homes.parquet")
    same, typed = prepared(file, target_column="price"), prepared(tmp_path / "homes.parquet", target_column="price")
    assert typed.info.statistics["types"] == same.info.statistics["types"]
    rows = predict.run(homes, [str(tmp_path / "homes.parquet")]).rows
    assert [row["price"] for row in rows] == [row["price"] for row in predict.run(homes, [str(file)]).rows]


@pytest.mark.extended
@pytest.mark.parametrize("target", ["kind", pytest.param("price", marks=pytest.mark.proof)])
def test_boosted_trees_are_trained_and_exported(file, target, tmp_path):
    """Categories, dates and missing numbers; regression has a link function, too."""
    options = {"data_dir": str(file), "candidates": "boosting", "settings": {"task.target_column": target}}
    summary = train.run("table", out=str(tmp_path / "run"), **options)
    assert summary["epochs"] == 1
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    assert "gradient boosting" not in summary["compared"]  # it would be compared with itself
    dataset = prepared(file, target_column=target)
    inputs = [tables.arrays(tabular.collect(dataset[name]), dataset.info) for name in ("train", "validation", "test")]
    boosting = fit_boosting(*inputs[:2], classes=2 if target == "kind" else 0)
    if target == "kind":
        want = np.mean(boosting.log_probabilities(inputs[2][0], 2).argmax(axis=1) == inputs[2][1])
    else:
        want = np.abs(boosting.predict(inputs[2][0]) - inputs[2][1]).mean()
    assert summary["metrics"]["accuracy" if target == "kind" else "mae"] == pytest.approx(want, rel=1e-5)


def test_a_rare_class_is_in_every_split_and_has_metrics_of_its_own(tmp_path):
    x = np.random.default_rng(0).normal(size=400)
    kinds = np.where(np.argsort(np.argsort(-x)) < 6, "fraud", "honest")
    path = rows_of(tmp_path / "a.csv", [["x", "kind"], *([f"{a:.3f}", kind] for a, kind in zip(x, kinds, strict=True))])
    data = prepared(path, target_column="kind")
    assert [splits.lacking(data, part) for part in ("train", "validation", "test")] == [[], [], []]
    none = dataclasses.replace(data, test=data.test.filter(lambda row: row["kind"] == 1))
    assert splits.lacking(none, "test") == ["fraud"]
    truth = np.array([0] * 2 + [1] * 98)
    outputs = {"logits": np.stack([np.linspace(-1, -2, 100), np.zeros(100)], 1)}  # never fraud, though it is ranked
    metrics = Table().metrics(outputs, truth, data.info)
    assert (metrics["accuracy"], metrics["recall"], metrics["auc"]) == (0.98, 0.0, 1.0)
    assert metrics["average_precision"] == pytest.approx(1.0)


def test_arguments_of_a_network_are_none_of_boosting(file, tmp_path):
    options = {"data_dir": str(file), "candidates": "boosting", "settings": {"model.units": [8]}}
    with pytest.raises(UsageError, match=r"model\.units is of the network, which is no candidate of boosting"):
        train.run("table", out=str(tmp_path / "run"), **options)
    words = ["table", "--data-dir", str(file), "--out", str(tmp_path / "run"), "--model"]
    result = CliRunner().invoke(train.main, [*words, "bosting"])  # the same option
    assert "unknown candidate 'bosting'; did you mean boosting" in str(result.exception)
    result = CliRunner().invoke(train.main, [*words, "boosting", "--print-config"])
    assert json.loads(result.output)["candidates"] == "boosting"


@pytest.mark.extended
def test_a_table_of_any_size_has_a_linear_baseline(file, monkeypatch):
    monkeypatch.setattr(selection, "MOST", 0)
    plan = make_plan("table", data_dir=str(file), settings={"task.target_column": "price"})
    found = selection.baselines(plan, plan.load_data(), "test")
    assert list(found) == ["median", "ridge regression", "gradient boosting"]
    assert all(one.fast for one in series.ladder(7).values())


def test_a_baseline_that_is_better_is_named_with_its_command(file):
    plan = make_plan("table", data_dir=str(file), settings={"task.target_column": "price", "recipe.epochs": 2})
    gains = {"gradient boosting": {"verdict": "worse"}, "median": {"verdict": "no gain"}, "other": {"verdict": "worse"}}
    (sentence,) = selection.better(plan, {"gains": gains}, plan.load_data().info)
    command = "zoo.train table --seed 0 --set recipe.epochs=2 --set task.target_column=price --candidates boosting"
    assert sentence == (
        f"gradient boosting is better on these examples: python -m {command} --data-dir {file} trains and exports it"
    )
