"""Datasets, callbacks, optimizers, losses and metrics of the user take part in a training, or are refused by name."""

import csv
import dataclasses
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import pipelines
from tests import commands
from tests.zoo.conftest import fit
from zoo import evaluate, export, train
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.settings import read_config
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError

ROOT = Path(train.__file__).parents[1]
DIGITS = {"data": "digits", "recipe.epochs": 2, "recipe.limit": 200}


class Counter(keras.callbacks.Callback):
    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        Counter.epochs += 1
        Counter.logs = dict(logs)


def not_a_callback():
    return 3


class Squared(keras.losses.Loss):
    """Mean squared difference of probabilities and one-hot labels."""

    def call(self, y_true, y_pred):
        target = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, [-1]), "int32"), y_pred.shape[-1])
        return keras.ops.mean(keras.ops.square(keras.ops.softmax(y_pred) - target), axis=-1)


@pytest.mark.extended
def test_callbacks_and_metrics(tmp_path):
    Counter.epochs = 0
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
    fit("mnist", tmp_path / "run", DIGITS, callbacks=[Counter(), f"{__name__}:Counter"], metrics=[top])
    assert Counter.epochs == 4  # two callbacks, two epochs
    assert 0 < Counter.logs["val_top_2"] <= 1
    assert "val_accuracy" in Counter.logs
    with (tmp_path / "run" / "history.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["val_top_2"]) == pytest.approx(Counter.logs["val_top_2"])


@pytest.mark.extended
def test_mlflow_by_a_callback_of_the_current_folder(tmp_path):
    """The module and the command of docs/how-to/train-in-python.md, with MLflow's store of plain files."""
    page = (ROOT / "docs" / "how-to" / "train-in-python.md").read_text()
    (tmp_path / "tracking.py").write_text(re.search(r"```python\n(import mlflow\n.*?)```", page, re.DOTALL).group(1))
    command = shlex.split(re.search(r"^    python (.* --callback .*)$", page, re.MULTILINE).group(1))
    command += ["--no-export", *(f"--set={name}={value}" for name, value in DIGITS.items())]
    store = {"MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    environment = os.environ | store | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = commands.run(*command, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (logged,) = (tmp_path / "mlruns").glob("*/*/metrics")
    values = [float(line.split()[1]) for line in (logged / "val_accuracy").read_text().splitlines()]
    (history,) = (tmp_path / "runs" / "mnist").glob("*/history.csv")
    with history.open() as file:
        assert values == pytest.approx([float(row["val_accuracy"]) for row in csv.DictReader(file)])
    assert (logged.parent / "params" / "optimizer_learning_rate").is_file()
    assert "status: 3" in (logged.parent / "meta.yaml").read_text()  # finished


@pytest.mark.extended
def test_optimizer_and_loss(tmp_path):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.InverseTimeDecay(0.5, 10, 0.5), momentum=0.9)
    fit("mnist", tmp_path / "run", DIGITS, callbacks=[Counter()], optimizer=optimizer, loss=Squared(), evaluate=False)
    assert Counter.logs["val_loss"] < 0.2  # at most 2 / 10 for any probabilities; cross-entropy begins at 2.3
    assert not optimizer.built  # a copy was trained


@pytest.mark.proof
def test_each_restart_has_its_own_optimizer(tmp_path):
    fit("mnist", tmp_path / "run", DIGITS | {"recipe.restarts": 2}, optimizer="lion", evaluate=False)
    assert (tmp_path / "run" / "restarts" / "1" / "history.csv").is_file()


@pytest.mark.extended
def test_optimizers_by_name(tmp_path):
    settings = DIGITS | {"recipe.optimizer": "nadam", "recipe.schedule": "constant", "recipe.momentum": 0.8}
    found = []

    class Keep(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.append(self.model.optimizer)

    fit("mnist", tmp_path / "run", settings, callbacks=[Keep()], evaluate=False)
    assert isinstance(found[0], keras.optimizers.Nadam)
    assert found[0].beta_1 == 0.8


@pytest.mark.parametrize(
    ("model", "objects", "sentence"),
    [
        ("dcgan", {"optimizer": "adam"}, "several optimizers"),
        ("word2vec", {"loss": "mse"}, "computes its losses itself"),
        ("mnist", {"optimizer": "adm"}, "adm"),
        ("mnist", {"callbacks": ["nowhere:Counter"]}, "nowhere"),
        ("mnist", {"callbacks": ["Counter"]}, "module:Class"),
        ("mnist", {"callbacks": [f"{__name__}:not_a_callback"]}, "not a keras.callbacks.Callback"),
    ],
)
def test_refused_by_name(model, objects, sentence, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        fit(model, tmp_path / "run", DIGITS if model == "mnist" else {"recipe.epochs": 1}, **objects)
    assert not (tmp_path / "run").exists()


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
    fit("admissions", out, SETTINGS, dataset=points())
    return out


@pytest.mark.extended
def test_the_run_says_that_its_data_was_given(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["data"] == {"name": "arrays", "data_dir": None, "cache_dir": None, "given": True}
    assert RunFolder(folder).plan().command() == (
        "zoo.train.run('admissions', seed=0, settings={'recipe.epochs': 1}, dataset=...)"
    )


@pytest.mark.extended
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


@pytest.mark.extended
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


@pytest.mark.proof
def test_texts_get_the_vocabulary_of_their_task(tmp_path):
    data, out = texts(), str(tmp_path / "run")
    fit("sentiment", out, SETTINGS, dataset=data)
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


@pytest.mark.extended
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
    fit("admissions", out, settings, dataset=points(), console=Console(), evaluate=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert sentence.format(out=out) in printed
    assert ("still improved" in printed) is ("still improved" in sentence)
    if "--init" in sentence:
        more = fit("admissions", tmp_path / "more", {"recipe.epochs": 1}, dataset=points(), init=str(out))
        assert more["epochs"] == 1
