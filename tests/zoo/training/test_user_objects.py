"""Callbacks, optimizers, losses and metrics of the user take part in a training, or are refused by name."""

import csv
import os
import re
import shlex
from pathlib import Path

import keras
import pytest

from tests import commands
from tests.zoo.conftest import data_dir
from zoo import train
from zoobase.errors import UsageError

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


def fit(tmp_path, model="mnist", settings=DIGITS, **objects):
    return train.run(
        model, settings=settings, data_dir=data_dir(model) if model != "mnist" else None,
        out=str(tmp_path / "run"), export=False, precision="float32", **objects
    )  # fmt: skip


def test_callbacks_and_metrics(tmp_path):
    Counter.epochs = 0
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
    fit(tmp_path, callbacks=[Counter(), f"{__name__}:Counter"], metrics=[top])
    assert Counter.epochs == 4  # two callbacks, two epochs
    assert 0 < Counter.logs["val_top_2"] <= 1
    assert "val_accuracy" in Counter.logs
    with (tmp_path / "run" / "history.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["val_top_2"]) == pytest.approx(Counter.logs["val_top_2"])


@pytest.mark.extended
def test_mlflow_by_a_callback_of_the_current_folder(tmp_path):
    """The module and the command of docs/how-to/train.md, with MLflow's store of plain files."""
    page = (ROOT / "docs" / "how-to" / "train.md").read_text()
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
    fit(tmp_path, callbacks=[Counter()], optimizer=optimizer, loss=Squared())
    assert Counter.logs["val_loss"] < 0.2  # at most 2 / 10 for any probabilities; cross-entropy begins at 2.3
    assert not optimizer.built  # a copy was trained


@pytest.mark.extended
def test_each_restart_has_its_own_optimizer(tmp_path):
    fit(tmp_path, settings=DIGITS | {"recipe.restarts": 2}, optimizer="lion")
    assert (tmp_path / "run" / "restarts" / "1" / "history.csv").is_file()


def test_optimizers_by_name(tmp_path):
    settings = DIGITS | {"recipe.optimizer": "nadam", "recipe.schedule": "constant", "recipe.momentum": 0.8}
    found = []

    class Keep(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.append(self.model.optimizer)

    fit(tmp_path, settings=settings, callbacks=[Keep()])
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
        fit(tmp_path, model, DIGITS if model == "mnist" else {"recipe.epochs": 1}, **objects)
    assert not (tmp_path / "run").exists()
