"""Any table: types of columns, missing values, splits by rows, groups and time, regression and classes."""

import csv

import numpy as np
import pytest

import pipelines
from pipelines import DataError, tabular
from zoo import predict, train
from zoo.core.plan import make_plan
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


def test_missing_numbers_are_the_mean_of_the_training_rows(file):
    dataset = prepared(file)
    sizes = tabular.collect(dataset.train)["size_m2"]
    values, counts = np.unique(sizes, return_counts=True)
    assert counts.max() >= 5  # of 15 missing cells
    others = np.delete(sizes, np.flatnonzero(sizes == values[counts.argmax()]))
    assert values[counts.argmax()] == pytest.approx(others.mean(), rel=1e-3)
    assert values[counts.argmax()] in tabular.collect(dataset.test)["size_m2"]


def test_chosen_types(file):
    info = prepared(file, columns={"rooms": "category", "owner": "ignored"}, target_column="rooms").info
    assert info.class_names == ("1", "2", "3", "4")
    assert "owner" not in info.features


def test_groups_are_in_one_split(file):
    dataset = prepared(file, groups="owner", target_column="price")
    owners = [set(tabular.collect(dataset[name])["owner"].tolist()) - {""} for name in ("train", "validation", "test")]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]
    assert sum(dataset.info.counts.values()) == ROWS


def test_rows_in_the_order_of_time(file):
    dataset = prepared(file, time="sold", target_column="price")
    days = [tabular.collect(dataset[name])["sold_days"] for name in ("train", "validation", "test")]
    assert days[0].max() <= days[1].min()
    assert days[1].max() <= days[2].min()
    assert dataset.info.counts == {"train": 180, "validation": 60, "test": 60}


def test_a_regression_learns_and_is_compared(file, tmp_path):
    settings = {"task.target_column": "price", "recipe.epochs": 25, "recipe.patience": 0, "model.units": (32,)}
    options = {"data_dir": str(file), "precision": "float32"}
    summary = train.run("table", settings=settings, out=str(tmp_path / "r"), export=False, **options)
    assert summary["metrics"]["r2"] > 0.8
    assert summary["compared"]["gradient boosting"]["r2"] > 0.8


def test_classes_are_exported_and_predicted(file, tmp_path):
    settings = {
        "task.target_column": "city",
        "recipe.epochs": 2,
        "model.units": (8,),
        "task.columns": {"id": "ignored"},
    }
    options = {"data_dir": str(file), "precision": "float32"}
    summary = train.run("table", settings=settings, out=str(tmp_path / "c"), **options)
    assert summary["bundles"][0]["verdict"] == "pass"
    row = '{"kind": "flat", "sold_month": "07", "sold_weekday": "Mon", "owner": "nobody", "price": 90000}'
    ranked = [predict.run(source, [row], top_k=4).rows for source in (tmp_path / "c", tmp_path / "c" / "bundle")]
    assert ranked[0] == ranked[1]
    assert {prediction["label"] for prediction in ranked[0]} == {*CITIES, "Oslo"}
    assert set(summary["compared"]) == {"this model", "gradient boosting (scikit-learn)", "most frequent class"}


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
