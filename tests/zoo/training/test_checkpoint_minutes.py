"""A training that is interrupted within an epoch goes on with the next batch, and ends with the same bits."""

import csv

import keras
import numpy as np
import pytest

from tests.zoo.conftest import fit
from tests.zoo.distribution.two_workers import SETTINGS, last_state
from zoo.training import checkpoints

OTHERS = {"model.dropout": 0.3, "recipe.optimizer": "adam", "recipe.ema": 0.9}


class Interruption(keras.callbacks.Callback):
    """Interrupts the training at a step of an epoch."""

    def __init__(self, epoch, step):
        super().__init__()
        self.wanted, self.epoch = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.wanted:
            raise KeyboardInterrupt


def run(out, minutes=0.0, callbacks=()):
    options = {"checkpoint_minutes": minutes, "callbacks": callbacks, "evaluate": False}
    fit("mnist_cnn", out, SETTINGS | OTHERS, **options)


def history(out):
    with (out / "history.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(out)
    return out


@pytest.mark.parametrize(("epoch", "step"), [(0, 3), (2, 4)])
def test_the_rest_of_an_epoch_is_trained_with_the_same_bits(epoch, step, undisturbed, tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(out, 1e-9, [Interruption(epoch, step)])
    newest, arrays = next(checkpoints.read(out / "checkpoints"))
    assert newest.name == f"state-{epoch:05}-{step + 1:07}.npz"
    assert any(name.startswith(checkpoints.METRICS) for name in arrays)
    run(out)
    found, expected = last_state(out), last_state(undisturbed)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert history(out) == history(undisturbed)  # with losses and accuracies of the whole epoch


def test_without_minutes_only_whole_epochs_are_saved(undisturbed):
    assert all(path.stem.count("-") == 1 for path in checkpoints.states(undisturbed / "checkpoints"))


def test_a_run_in_a_store_is_resumed_on_another_machine(undisturbed, tmp_path, monkeypatch):
    """The cache, and with it the local copy, is another one."""
    import fsspec

    url = f"memory://{tmp_path.name}/run"
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "one"))
    with pytest.raises(KeyboardInterrupt):
        run(url, 1e-9, [Interruption(2, 4)])
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "two"))
    run(url)
    fsspec.filesystem("memory").get(f"/{tmp_path.name}/run", str(tmp_path / "copy"), recursive=True)
    found, expected = last_state(tmp_path / "copy"), last_state(undisturbed)
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert (tmp_path / "copy" / "summary.json").is_file()
    assert len(checkpoints.states(tmp_path / "copy" / "checkpoints")) == checkpoints.MAX_STATES
