"""The mean of the best two candidates: when it is selected, and that it is one model in every format."""

import csv
import dataclasses
import json

import numpy as np
import pytest

import zoo
from export import export_model
from tests.zoo.conftest import data_dir
from zoo import evaluate, export, train
from zoo.core.plan import make_plan
from zoo.core.replacements import mean_of
from zoo.core.run_folder import RunFolder
from zoo.tasks.classifier import softmax
from zoobase.errors import UsageError

pytestmark = pytest.mark.extended  # a ladder has a test in the first tier
TARGET = {"task.target_column": "target"}
SLOPES = [f"slope{i}" for i in range(14)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A sum of a line, which trees follow in steps, and of a product of signs, which no line follows."""
    path, random = tmp_path_factory.mktemp("mean") / "rows.csv", np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*SLOPES, "left", "right", "place", "target"])
        for _ in range(1200):
            *slopes, left, right = random.normal(size=len(SLOPES) + 2)
            place = random.integers(3)
            value = 2.2 * sum(slopes) + 3 * np.sign(left * right) + place + random.normal()
            writer.writerow([*slopes, left, right, "abc"[place], value])
    return path


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("mean") / "run"
    options = {"data_dir": str(rows), "settings": TARGET, "candidates": "linear,boosting", "precision": "float32"}
    return train.run("table", out=str(out), **options)


def test_a_mean_that_is_better_than_both_is_selected_and_proven(run):
    folder = RunFolder(run["run"])
    record = folder.read("candidates.json")
    assert [one["name"] for one in record["candidates"]] == ["linear", "boosting", "linear+boosting"]
    assert folder.plan().selected == record["selected"] == "linear+boosting"
    assert [bundle["verdict"] for bundle in run["bundles"]] == ["pass"]
    rows = json.loads((folder.path / "bundle" / "parity.json").read_text())["artifacts"]
    assert {row["format"] for row in rows if row["state"] == "pass"} >= {"keras", "weights", "saved_model", "tflite"}
    inputs = dict.fromkeys(SLOPES, 0.7) | {"left": -0.3, "right": float("nan"), "place": "b"}
    parts = [zoo.load(folder.path / "candidates" / name) for name in ("linear", "boosting")]
    mean = np.mean([part.predict(inputs)[0].outputs["prediction"] for part in parts])
    for model in (zoo.load(folder.path), zoo.load(folder.path / "bundle", "tflite")):
        assert model.predict(inputs)[0].outputs["prediction"] == pytest.approx(mean, rel=1e-5)
    with pytest.raises(UsageError, match=r"holds the candidate linear\+boosting in place of table"):
        zoo.build("table", weights=run["run"])


@pytest.mark.extended
def test_the_run_is_evaluated_and_exported_again(run, tmp_path):
    assert evaluate.run(run["run"])["metrics"] == run["metrics"]
    (bundle,) = export.run(run["run"], out=tmp_path / "bundle")
    assert bundle["verdict"] == "pass"
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "Mean of ridge regression and gradient boosting, selected in place of either." in card


@pytest.mark.extended
@pytest.mark.parametrize(
    ("model", "selected"),
    [
        ("mnist_cnn", "linear+network"),
        pytest.param("unet", "linear+network", marks=pytest.mark.proof),
        ("table", "additive+network"),
        pytest.param("keywords", "linear+parts", marks=pytest.mark.proof),
        pytest.param("forecast", "ridge+network", marks=pytest.mark.proof),
        pytest.param("bike_sharing", "linear+network", marks=pytest.mark.proof),
    ],
)
def test_every_kind_has_a_mean(model, selected, tmp_path):
    """With the weights of their initializers; of probabilities, where there are some."""
    plan = dataclasses.replace(make_plan(model, data_dir=data_dir(model), precision="float32"), selected=selected)
    dataset = plan.load_data()
    info = dataset.info
    parts = {name: part.build(info) for name, part in plan.members.items()}
    whole = mean_of(parts, plan.task, info)
    contract = plan.task.contract(whole, info)
    x = next(iter(plan.feed(dataset, "test").batches(8)))[0]
    outputs = [np.asarray(part(x, training=False), np.float64) for part in (whole, *parts.values())]
    if contract["serving_default"].outputs[0].meaning == "logits":
        outputs = [softmax(logits) for logits in outputs]
    np.testing.assert_allclose(outputs[0], (outputs[1] + outputs[2]) / 2, rtol=1e-5, atol=1e-6)
    bundle = export_model(whole, tmp_path / "bundle", contract=contract)
    states = {row["format"]: row["state"] for row in bundle.certificate.to_json()["artifacts"]}
    assert bundle.certificate.verdict == "pass"
    if model == "mnist_cnn":  # of layers alone
        assert states["hdf5"] == "pass"
