"""Two workers on this machine, by TF_CONFIG and by --workers: equal to one, killed and resumed with the same bits."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import psutil
import pytest

from tests.zoo.conftest import DATA
from zoo import train
from zoo.core.errors import UsageError
from zoo.distribution import launcher
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
WORDS = [
    *("mnist_cnn", "--data-dir", str(DATA["mnist"]), "--precision", "float32", "--no-export"),
    *(f"--set={name}={json.dumps(value) if isinstance(value, list) else value}" for name, value in SETTINGS.items()),
]


def start(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.train", *map(str, words)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    printed = process.communicate(timeout=400)[0]
    assert process.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the run of two workers that a TF_CONFIG names, as a cluster starts them."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    cluster = {"worker": launcher.free_addresses(2)}
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    processes = [start(*WORDS, "--out", out, TF_CONFIG=config) for config in configs]
    chief, other = map(finish, processes)
    assert "2 replicas" in chief
    assert other == ""  # only the first worker prints
    assert sorted(path.name for path in (out / "logs").iterdir()) == ["train", "validation", "worker-0", "worker-1"]
    return out


def last_state(out):
    path, arrays = next(checkpoints.read(out / "checkpoints"))
    state = json.loads(arrays.pop("state.json").tobytes())
    assert state["epoch"] == EPOCHS, path
    return arrays


def weights(out):
    values = {}
    with h5py.File(out / "checkpoints" / "best.weights.h5") as file:
        file.visititems(lambda name, item: values.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return values


def test_two_workers_equal_one(undisturbed, tmp_path):
    train.run(
        "mnist_cnn", settings=SETTINGS, data_dir=str(DATA["mnist"]), precision="float32",
        out=str(tmp_path / "run"), export=False,
    )  # fmt: skip
    expected, found = last_state(tmp_path / "run"), last_state(undisturbed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5, err_msg=name)
    for name, value in weights(tmp_path / "run").items():
        np.testing.assert_allclose(weights(undisturbed)[name], value, atol=1e-5, err_msg=name)
    evaluations = [json.loads((out / "evaluation.json").read_text()) for out in (tmp_path / "run", undisturbed)]
    assert evaluations[0]["metrics"] == pytest.approx(evaluations[1]["metrics"], abs=1e-5)


@pytest.mark.parametrize("worker", [pytest.param(0, marks=pytest.mark.proof), 1])
def test_a_killed_worker_is_resumed_with_the_same_bits(worker, undisturbed, tmp_path):
    """The newest state is cut off as well, as if the machine had failed while it was written."""
    out = tmp_path / "run"
    process = start(*WORDS, "--workers", 2, "--out", out)
    deadline = time.monotonic() + 300
    while not (out / "checkpoints" / f"state-{2:05d}.npz").exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child(process, worker), signal.SIGKILL)
    printed = process.communicate(timeout=200)[0]
    assert process.returncode == 1
    assert f"error: worker {worker} was ended by SIGKILL" in printed
    assert f"--resume {out}" in printed
    assert "Traceback" not in printed
    newest = checkpoints.states(out / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])

    printed = finish(start(*WORDS, "--workers", 2, "--out", out))
    assert f"{newest} is damaged; using the previous state" in printed
    expected, found = last_state(undisturbed), last_state(out)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    for name, value in weights(undisturbed).items():
        np.testing.assert_array_equal(weights(out)[name], value, err_msg=name)


def child(process, index):
    """Return the process id of a worker that `--workers` started."""
    for each in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):
            if json.loads(each.environ()["TF_CONFIG"])["task"]["index"] == index:
                return each.pid
    raise AssertionError(f"there is no worker {index}")


def test_an_error_of_the_workers_is_that_of_the_command(tmp_path):
    process = start(*WORDS, "--set=recipe.batch_size=15", "--workers", 2, "--out", tmp_path / "run")
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 2, printed
    assert "error: recipe.batch_size=15 cannot be divided by 2 replicas" in printed
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{", "TF_CONFIG is not valid"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "TF_CONFIG is not valid"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "another type"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}', "no worker of this index"),
    ],
)
def test_a_wrong_cluster_is_one_sentence(config, sentence, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match=sentence):
        train.run("mnist", settings={"data": "digits"}, out="nowhere")
