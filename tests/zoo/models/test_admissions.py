"""Logistic regression on a table: the update rule, reading, serving and evaluation."""

import dataclasses

import numpy as np
import pytest

import export
import pipelines
import zoo
from pipelines import tabular
from zoo import evaluate
from zoo.core.plan import make_plan
from zoo.training.compiling import compile_model

ALPHA = 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def cancer():
    return pipelines.load("breast_cancer")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV with the columns admit, gre, gpa and rank: 60 rows, admitted by grades and rank with noise."""
    draw = np.random.default_rng(0)
    gre, gpa, rank = draw.integers(11, 41, 60) * 20, draw.uniform(2.3, 4, 60).round(2), draw.integers(1, 5, 60)
    admit = (gre / 200 + gpa - rank + draw.normal(0, 0.5, 60) > 3.5).astype(int)
    rows = (f"{a},{g},{p},{r}" for a, g, p, r in zip(admit, gre, gpa, rank, strict=True))
    path = tmp_path_factory.mktemp("admissions") / "binary.csv"
    path.write_text("\n".join(["admit,gre,gpa,rank", *rows]) + "\n")
    return path


@pytest.mark.parametrize("size", [1, 8])
def test_gradient_descent_by_hand_equals_an_sgd_step(cancer, size):
    """`w += alpha (y - y_hat) x`, in numpy and in Keras, row by row and averaged over a batch."""
    settings = {"recipe.learning_rate": ALPHA, "recipe.l2": 0, "recipe.batch_size": size}
    plan = make_plan("admissions", settings=settings)
    model = plan.build(cancer.info)
    compile_model(model, plan, cancer.info, steps=1000)
    columns, rows = cancer.info.statistics["columns"], tabular.collect(cancer.train)
    features = np.stack([(rows[c["name"]] - c["mean"]) / c["deviation"] for c in columns], 1)
    w, b = (v.astype(np.float64) for v in model.get_layer("core").get_layer("unit").get_weights())
    w = w[:, 0]
    for start in range(0, 20 * size, size):
        batch = slice(start, start + size)
        x, y = features[batch], rows["malignant"][batch]
        y_hat = sigmoid(x @ w + b)
        w = w + ALPHA * np.mean((y - y_hat)[:, None] * x, axis=0)
        b = b + ALPHA * np.mean(y - y_hat)
        model.train_on_batch({c["name"]: rows[c["name"]][batch] for c in columns}, y)
        kernel, bias = model.get_layer("core").get_layer("unit").get_weights()
        np.testing.assert_allclose(kernel[:, 0], w, atol=2e-6)
        np.testing.assert_allclose(bias, b, atol=2e-6)


def test_splits_are_stratified(cancer):
    parts = {split: tabular.collect(cancer[split])["malignant"] for split in ("train", "validation", "test")}
    assert sum(len(p) for p in parts.values()) == 569
    assert all(p.mean() == pytest.approx(212 / 569, abs=0.01) for p in parts.values())
    rows = [tabular.collect(cancer[s]) for s in parts]
    assert len({tuple(row) for r in rows for row in np.stack(list(r.values()), 1).tolist()}) == 569


def test_the_default_data_is_breast_cancer():
    assert pipelines.load("admissions").info.name == "breast_cancer"


def test_the_rank_is_a_category(table):
    dataset = pipelines.load("admissions", data_dir=table.parent)
    columns = {c["name"]: c for c in dataset.info.statistics["columns"]}
    assert columns["rank"]["vocabulary"] == ["1", "2", "3", "4"]
    assert columns["gpa"]["kind"] == columns["gre"]["kind"] == "number"
    assert dataset.info.class_names == ("rejected", "admitted")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("admit,gre,gpa\n1,600,3.0\n", "has no column rank"),
        ("admit,gre,gpa,rank\n2,600,3.0,1\n", "row 1: admit is '2', not 0 or 1"),
        ("admit,gre,gpa,rank\n1,good,3.0,1\n", "gre is 'good', not a number"),
        ("admit,gre,gpa,rank\n1,600,3.0,1\n0,600,3.0,1\n", "too few"),
    ],
)
def test_invalid_tables_are_reported(tmp_path, content, message):
    (tmp_path / "binary.csv").write_text(content)
    with pytest.raises(pipelines.DataError, match=message):
        pipelines.load("admissions", data_dir=tmp_path)


@pytest.mark.extended
def test_ranks_are_strings_and_ids_in_tflite(table, tmp_path):
    plan = make_plan("admissions", data_dir=str(table))
    dataset = plan.load_data()
    model = plan.build(dataset.info)
    contract = plan.task.contract(model, dataset.info)
    assert [e.name for e in contract.endpoints] == ["serving_default", "encoded"]
    bundle = export.export_model(model, tmp_path / "bundle", contract=contract, formats=("saved_model", "tflite"))
    assert bundle.certificate.verdict == "pass"
    row = {"gre": np.float32([700]), "gpa": np.float32([3.9])}
    served = export.load(tmp_path / "bundle", "saved_model")["serving_default"](rank=np.array([b"2"], object), **row)
    lite = export.load(tmp_path / "bundle", "tflite")["encoded"](rank_id=np.int64([2]), **row)
    np.testing.assert_allclose(served["probability"], lite["probability"], atol=1e-6)


@pytest.mark.extended
def test_evaluation_has_baselines(cancer):
    plan = make_plan("admissions")
    evaluation = evaluate.evaluate_split(
        plan, zoo.build("admissions", columns=cancer.info.statistics["columns"]), cancer, "test"
    )
    compared = evaluation.metrics["compared"]
    assert compared["this model"]["log_loss"] == evaluation.metrics["log_loss"] > 0.3  # not trained
    assert compared["logistic regression (scikit-learn)"]["auc"] > 0.97
    assert compared["gradient boosting (scikit-learn)"]["auc"] > 0.97
    assert compared["share of the class in training"]["auc"] == 0.5
    one = dataclasses.replace(evaluation, truth=np.ones_like(evaluation.truth))
    assert "auc" not in plan.task.metrics(one.outputs, one.truth, cancer.info)
