"""zoo.train.run(dataset=...): data in memory is trained on, and asked for again where it is needed."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import pipelines
from zoo import evaluate, export, train
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.settings import read_config
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError

SETTINGS = {"recipe.epochs": 1}


def points(scale=1.0):
    x = np.random.default_rng(0).normal(size=(200, 2)) * scale
    return pipelines.from_arrays(x, ["outside" if a > 0 else "inside" for a in x[:, 0]])


def texts():
    words = ["good fine great", "bad poor awful"]
    return pipelines.from_arrays([words[i % 2] + f" {i}" for i in range(60)], ["yes", "no"] * 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("given") / "run"
    train.run("admissions", dataset=points(), settings=SETTINGS, precision="float32", out=str(out), export=False)
    return out


def test_the_run_says_that_its_data_was_given(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["data"] == {"name": "arrays", "data_dir": None, "cache_dir": None, "given": True}
    assert RunFolder(folder).plan().command() == (
        "zoo.train.run('admissions', seed=0, settings={'recipe.epochs': 1}, dataset=...)"
    )


def test_the_same_data_is_evaluated_again(folder):
    result = evaluate.run(folder, dataset=points())
    assert result["metrics"] == json.loads((folder / "evaluation.json").read_text())["metrics"]
    assert result["data"] == "arrays"


@pytest.mark.parametrize("verb", [evaluate.run, export.run])
def test_without_the_data_there_is_one_sentence(folder, verb):
    message = r"data of this run, arrays, was given as dataset= and is not stored: give the same dataset again"
    with pytest.raises(MissingError, match=message):
        verb(folder)
    assert not (folder / "bundle").exists()


def test_its_config_is_no_settings_of_the_command_line(folder):
    with pytest.raises(UsageError, match=r"the data of .*config.json, arrays, was given as dataset="):
        read_config(folder / "config.json")


def test_other_data_is_refused(folder):
    with pytest.raises(UsageError, match=r"arrays is not the data of .*: the two differ in statistics, sha256"):
        evaluate.run(folder, dataset=points(scale=2.0))
    with pytest.raises(UsageError, match=r"admissions needs examples with named columns, and those of arrays have"):
        evaluate.run(folder, dataset=texts())


def test_an_unfinished_run_is_resumed_with_its_data_only(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    (run / "summary.json").unlink()
    arguments = {"resume": str(run), "export": False}
    with pytest.raises(MissingError, match="give the same dataset again"):
        train.run(None, **arguments)
    with pytest.raises(UsageError, match=r"the two differ in statistics, sha256"):
        train.run(None, dataset=points(scale=2.0), **arguments)
    assert train.run(None, dataset=points(), **arguments)["epochs"] == 1


def test_settings_of_data_that_would_be_loaded_are_refused(tmp_path):
    settings = {"data": "breast_cancer", "recipe.split": "60/20/20"}
    with pytest.raises(UsageError, match=r"data, data_dir, recipe.split has no effect, because dataset= is given"):
        train.run("admissions", dataset=points(), settings=settings, data_dir="x", out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_texts_get_the_vocabulary_of_their_task(tmp_path):
    data = texts()
    out = str(tmp_path / "run")
    train.run("sentiment", dataset=data, settings=SETTINGS, precision="float32", out=out, export=False)
    assert data.info.vocabulary is None
    assert "good" in RunFolder(out).info().vocabulary
    assert evaluate.run(out, dataset=data, split="validation")["examples"] == 6


def test_a_registered_dataset_is_loaded_again_by_its_name():
    """Only arrays, and datasets of another name than the settings', are marked."""
    plan = make_plan("mnist", settings={"data": "digits"})
    info = pipelines.load("digits").info
    assert plan.with_dataset(info) is plan
    given = plan.with_dataset(dataclasses.replace(info, source=pipelines.dataset.IN_MEMORY))
    assert given.data["given"]


# === How a training ended ===


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"recipe.epochs": 2}, "the validation still improved in the last epoch: --init {out} continues from these "
         "weights, --set recipe.epochs=4 trains longer from the start"),
        ({"recipe.epochs": 3, "recipe.learning_rate": 1e-30, "recipe.patience": 1},
         "stopped after epoch 2: validation loss has not improved for 1 epochs"),
        ({"recipe.epochs": 2, "recipe.learning_rate": 1e-30}, ""),
        ({"recipe.epochs": 1}, ""),
    ],
)  # fmt: skip
def test_a_training_says_whether_it_ended_too_early(settings, sentence, tmp_path, capsys):
    out = tmp_path / "run"
    options = {"settings": settings, "precision": "float32", "out": str(out), "export": False, "evaluate": False}
    train.run("admissions", dataset=points(), console=Console(), **options)
    printed = " ".join(capsys.readouterr().out.split())
    assert sentence.format(out=out) in printed
    assert ("still improved" in printed) is ("still improved" in sentence)
    if "--init" in sentence:
        options |= {"out": str(tmp_path / "more"), "settings": {"recipe.epochs": 1}}
        assert train.run("admissions", dataset=points(), init=str(out), **options)["epochs"] == 1
