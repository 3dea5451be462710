"""The training of two workers that the tests of this folder repeat, disturb and compare."""

import json
import os

import h5py
import numpy as np

from tests import commands
from tests.zoo.conftest import DATA
from zoo.training import checkpoints

EPOCHS = 4
SETTINGS = {  # batch normalisation, augmentation, and a last batch of 12; SGD, because Adam amplifies rounding
    "recipe.epochs": EPOCHS,
    "recipe.batch_size": 24,
    "recipe.limit": 180,
    "recipe.optimizer": "sgd",
    "recipe.learning_rate": 5e-4,
    "recipe.warmup": 0.0,
    "model.filters": [4, 8],
    "model.units": 16,
    "model.dropout": 0.0,
}


def words(**settings):
    """Return the command line of the training, with other values of some settings."""
    values = SETTINGS | {f"recipe.{name}": value for name, value in settings.items()}
    return [
        *("mnist_cnn", "--data-dir", str(DATA["mnist"]), "--precision", "float32", "--no-export"),
        *(f"--set={name}={json.dumps(value) if isinstance(value, list) else value}" for name, value in values.items()),
    ]


def start(*arguments, **environment):
    return commands.Command("-m", "zoo.train", *arguments, env=os.environ | environment, merged=True)


def wait_for_state(out, epoch, process):
    states = out / "checkpoints"
    process.wait_for(lambda: any(int(path.stem[-5:]) >= epoch for path in checkpoints.states(states)), 600)


def last_state(out, epochs=EPOCHS):
    """Return the arrays of the state after the last epoch: weights, optimizer, generators."""
    path, arrays = next(checkpoints.read(out / "checkpoints"))
    state = json.loads(arrays.pop("state.json").tobytes())
    assert state["epoch"] == epochs, path
    return arrays


def best_weights(out):
    values = {}
    with h5py.File(out / "checkpoints" / "best.weights.h5") as file:
        file.visititems(lambda name, item: values.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return values


def assert_equal(out, other, atol=0.0, epochs=EPOCHS):
    for read in (lambda path: last_state(path, epochs), best_weights):
        found, expected = read(out), read(other)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=atol, rtol=atol, err_msg=name)
