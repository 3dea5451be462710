"""Wrong labels are found, and groups that are worse are named."""

import re
from unittest import mock

import numpy as np
import pytest

import pipelines
from pipelines import splits
from tests.zoo.conftest import fit
from zoo import mistakes
from zoo.evaluation.mistakes import findings
from zoobase.errors import UsageError

RANDOM = np.random.default_rng(0)


def table(swapped=0):
    """Return rows of two classes that a line divides, of which the first `swapped` labels are wrong, far from it."""
    x = RANDOM.normal(size=(400, 2)).astype("float32")
    distance = x[:, 0] + 0.5 * x[:, 1]
    x[:swapped] *= np.maximum(1, 1 / np.abs(distance[:swapped, None]))
    y = (distance > 0).astype("int64")
    y[:swapped] = 1 - y[:swapped]
    part = slice(240, 320), slice(320, 400)
    given = {"validation": (x[part[0]], y[part[0]]), "test": (x[part[1]], y[part[1]])}
    return pipelines.from_arrays(x[:240], y[:240], **given, name="line", class_names=("below", "above"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes") / "run"
    data = table(swapped=12)
    settings = {"recipe.epochs": 20, "recipe.batch_size": 16, "recipe.learning_rate": 0.02, "model.units": (8,)}
    fit("table", folder, settings, dataset=data)
    return folder, data


@pytest.mark.extended
def test_wrong_labels_of_the_training_split_are_found_by_models_that_did_not_see_them(run):
    folder, data = run
    report = mistakes.run(folder, folds=2, dataset=data)
    found = {int(row["example"]) for row in report["likely_wrong"]}
    assert len(found & set(range(12))) >= 11
    assert len(found) <= 24
    assert report["split"] == "train"
    page = (folder / "mistakes-train.html").read_text()
    assert "Likely wrong labels" in page
    assert "<script" not in page


@pytest.mark.proof
def test_folds_of_a_csv_file(tmp_path):
    rows = [f"{i % 7},{'ab'[i % 2]},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,kind,answer", *rows]))
    settings = {"recipe.epochs": 1, "model.units": (4,), "task.target_column": "answer"}
    fit("table", tmp_path / "run", settings, data_dir=str(tmp_path / "rows.csv"))
    assert mistakes.run(tmp_path / "run", folds=2)["examples"] == 72


@pytest.mark.extended
def test_the_rows_of_a_group_are_in_one_fold(tmp_path):
    rows = [f"{i % 7},{'ab'[i % 2]},person {i % 12},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,kind,person,answer", *rows]))
    settings = {"recipe.epochs": 1, "model.units": (4,), "task.target_column": "answer", "task.groups": "person"}
    fit("table", tmp_path / "run", settings, data_dir=str(tmp_path / "rows.csv"))
    left_out: list[set] = []
    original = mistakes._outputs

    def outputs(folder, dataset, split):
        left_out.append(set(splits.groups_of(dataset, split)))
        assert not left_out[-1] & set(splits.groups_of(dataset, "train"))
        return original(folder, dataset, split)

    with mock.patch.object(mistakes, "_outputs", outputs):
        mistakes.run(tmp_path / "run", folds=2)
    assert len(left_out) == 2
    assert not left_out[0] & left_out[1]
    with pytest.raises(UsageError, match=r"the training split has \d groups, which are kept together"):
        mistakes.run(tmp_path / "run", folds=10)


@pytest.mark.extended
def test_the_training_split_is_refused_without_folds(run):
    folder, data = run
    with pytest.raises(UsageError, match="the model was trained on the training split"):
        mistakes.run(folder, split="train", dataset=data)


def test_the_worst_examples_are_shown_as_images(trained):
    run = trained("fashion_mnist")
    report = mistakes.run(run, split="test", most=5)
    errors = [row["error"] for row in report["worst"]]
    assert errors == sorted(errors, reverse=True)
    assert all(row["true"] != row["predicted"] for row in report["worst"])
    page = (run / "mistakes-test.html").read_text()
    assert len(re.findall("data:image/png;base64", page)) >= len(report["worst"]) > 0


@pytest.mark.extended
def test_a_number_has_its_largest_difference(tmp_path):
    x = RANDOM.normal(size=(120, 2)).astype("float32")
    y = (x @ [1.0, 2.0]).astype("float32")
    y[100] += 50  # of the test split
    data = pipelines.from_arrays(x[:80], y[:80], validation=(x[80:100], y[80:100]), test=(x[100:], y[100:]), name="sum")
    fit("table", tmp_path / "r", {"recipe.epochs": 1, "model.units": (4,)}, dataset=data)
    report = mistakes.run(tmp_path / "r", split="test", dataset=data)
    assert report["worst"][0]["example"] == "0"
    assert report["worst"][0]["error"] > 40
    assert report["likely_wrong"] == []


def test_models_without_answers_are_refused(trained):
    with pytest.raises(UsageError, match="neither classes nor numbers"):
        mistakes.run(trained("autoencoder"))


def test_a_group_that_is_worse_is_named():
    errors = (RANDOM.random(600) < 0.1).astype(float)
    errors[:60] = RANDOM.random(60) < 0.6
    worst = findings.worst_slices(
        errors, {"camera": np.array(["old"] * 60 + ["new"] * 540), "x": RANDOM.normal(size=600)}
    )[0]
    assert (worst["slice"], worst["examples"]) == ("camera = old", 60)
    assert worst["error"] > 3 * worst["others"]


def test_chance_is_rarely_taken_for_a_group():
    reported = [
        findings.worst_slices(
            (RANDOM.random(400) < 0.2).astype(float), {name: RANDOM.normal(size=400) for name in "abcdef"}
        )
        for _ in range(60)
    ]
    assert sum(map(bool, reported)) < 9  # one in twenty


def test_confident_learning_leaves_unsure_examples_alone():
    second = np.array([0.5, 0.6, 0.05, 0.1, 0.9, 0.95, 0.85, 0.01])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probabilities = np.stack([1 - second, second], axis=-1)
    assert findings.likely_wrong(probabilities, labels).tolist() == [7]
