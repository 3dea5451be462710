"""The first model of the course: its update rule is a step of ours, and its table is read, served and judged."""

import dataclasses

import numpy as np
import pytest

import pipelines
import zoo
from pipelines import tabular
from zoo.core.plan import make_plan

ALPHA = 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def cancer():
    return pipelines.load("breast_cancer")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of the course's form: 60 rows, of whom those with good grades from good schools are admitted."""
    draw = np.random.default_rng(0)
    gre, gpa, rank = draw.integers(11, 41, 60) * 20, draw.uniform(2.3, 4, 60).round(2), draw.integers(1, 5, 60)
    admit = (gre / 200 + gpa - rank + draw.normal(0, 0.5, 60) > 3.5).astype(int)
    rows = (f"{a},{g},{p},{r}" for a, g, p, r in zip(admit, gre, gpa, rank, strict=True))
    path = tmp_path_factory.mktemp("admissions") / "binary.csv"
    path.write_text("\n".join(["admit,gre,gpa,rank", *rows]) + "\n")
    return path


@pytest.mark.parametrize("size", [1, 8])
def test_the_update_rule_of_the_course_is_one_sgd_step_of_this_model(cancer, size):
    """`w += alpha (y - y_hat) x`, in numpy and in Keras, row by row and averaged over a batch."""
    settings = {"recipe.learning_rate": ALPHA, "recipe.l2": 0, "recipe.batch_size": size}
    plan = make_plan("admissions", settings=settings)
    model = plan.build(cancer.info)
    plan.task.compile(model, plan.recipe, cancer.info, steps=1000)
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


def test_every_part_has_the_same_share_of_each_class(cancer):
    parts = {split: tabular.collect(cancer[split])["malignant"] for split in ("train", "validation", "test")}
    assert sum(len(p) for p in parts.values()) == 569
    assert all(p.mean() == pytest.approx(212 / 569, abs=0.01) for p in parts.values())
    rows = [tabular.collect(cancer[s]) for s in parts]
    assert len({tuple(row) for r in rows for row in np.stack(list(r.values()), 1).tolist()}) == 569


def test_without_a_table_everyone_has_breast_cancer():
    assert pipelines.load("admissions").info.name == "breast_cancer"


def test_the_rank_of_the_course_is_a_category(table):
    held = pipelines.load("admissions", data_dir=table.parent)
    columns = {c["name"]: c for c in held.info.statistics["columns"]}
    assert columns["rank"]["vocabulary"] == ["1", "2", "3", "4"]
    assert columns["gpa"]["kind"] == columns["gre"]["kind"] == "number"
    assert held.info.class_names == ("rejected", "admitted")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("admit,gre,gpa\n1,600,3.0\n", "has no column rank"),
        ("admit,gre,gpa,rank\n2,600,3.0,1\n", "row 1: admit is '2', not 0 or 1"),
        ("admit,gre,gpa,rank\n1,good,3.0,1\n", "gre is 'good', not a number"),
        ("admit,gre,gpa,rank\n1,600,3.0,1\n0,600,3.0,1\n", "too few"),
    ],
)
def test_unusable_tables_get_a_sentence(tmp_path, content, sentence):
    (tmp_path / "binary.csv").write_text(content)
    with pytest.raises(pipelines.DataError, match=sentence):
        pipelines.load("admissions", data_dir=tmp_path)


def test_ranks_go_in_as_strings_and_as_ids_in_tflite(table, tmp_path):
    import export

    plan = make_plan("admissions", data_dir=str(table))
    dataset = plan.load_data()
    model = plan.build(dataset.info)
    contract = plan.task.contract(model, dataset.info)
    assert [e.name for e in contract.endpoints] == ["serving_default", "encoded"]
    made = export.export_model(model, tmp_path / "bundle", contract=contract, formats=("saved_model", "tflite"))
    assert made.certificate.verdict == "pass"
    row = {"gre": np.float32([700]), "gpa": np.float32([3.9])}
    served = export.load(tmp_path / "bundle", "saved_model")["serving_default"](rank=np.array([b"2"], object), **row)
    lite = export.load(tmp_path / "bundle", "tflite")["encoded"](rank_id=np.int64([2]), **row)
    np.testing.assert_allclose(served["probability"], lite["probability"], atol=1e-6)


def test_the_judge_stands_beside_logistic_regression(cancer):
    from zoo import evaluate

    plan = make_plan("admissions")
    found = evaluate.evaluate_split(
        plan, zoo.build("admissions", columns=cancer.info.statistics["columns"]), cancer, "test"
    )
    compared = found.metrics["compared"]
    assert compared["this model"]["log_loss"] == found.metrics["log_loss"] > 0.3  # not trained
    assert compared["logistic regression (scikit-learn)"]["auc"] > 0.97
    assert compared["share of the class in training"]["auc"] == 0.5
    one = dataclasses.replace(found, truth=np.ones_like(found.truth))
    assert "auc" not in plan.task.metrics(one.outputs, one.truth, cancer.info)
