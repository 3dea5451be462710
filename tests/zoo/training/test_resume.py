"""Runs that are killed and resumed are bitwise equal to uninterrupted ones, with dropout, augmentation and EMA."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import commands
from tests.zoo.conftest import DATA
from zoo import train
from zoo.core import registry
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.settings import TrainSettings
from zoo.training import checkpoints
from zoobase.errors import UsageError

EPOCHS = 4
WORDS = [
    *("zoo.train", "fashion_mnist", "--no-export", "--no-evaluate", "--epochs", str(EPOCHS)),
    *("--data-dir", str(DATA["fashion_mnist"]), "--filters", "[8, 16]", "--depths", "[1, 1]", "--batch-size", "10"),
    *("--set", "recipe.ema=0.9", "--set", "recipe.augment=flip,shift", "--set", "model.dropout=0.5"),
]


def start(out, **options):
    return commands.Command("-m", *WORDS, "--out", out, merged=True, **options)


def finish(out, **options):
    return start(out, **options).finish()


def killed(out, epoch, delay):
    """Start a run and kill it `delay` seconds after the state of `epoch` was written."""
    process = start(out)
    process.wait_for(lambda: list((out / "checkpoints").glob(f"state-{epoch:05d}.npz")))
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()


def last_state(out):
    (path, arrays), *_ = checkpoints.read(out / "checkpoints")
    state = json.loads(arrays.pop("state.json").tobytes())
    assert state["epoch"] == EPOCHS, path
    for row in state["rows"]:
        row.pop("seconds")
    return arrays, state


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    finish(out)
    return out


def assert_same(one, other):
    arrays, state = last_state(one)
    expected, expected_state = last_state(other)
    assert set(arrays) == set(expected)
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert state == expected_state
    with RunFolder(one).weights.open("rb") as a, RunFolder(other).weights.open("rb") as b:
        assert a.read() == b.read()


@pytest.mark.proof
def test_a_full_disk_in_a_resumed_run_is_one_sentence_and_loses_nothing(whole, tmp_path):
    out = tmp_path / "full"
    killed(out, epoch=2, delay=0.05)
    size = min(path.stat().st_size for path in (out / "checkpoints").glob("*.npz")) // 2

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-m", *WORDS, "--out", str(out), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=300)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert "resuming after epoch" in finish(out)
    assert_same(out, whole)


@pytest.mark.proof
def test_the_same_seed_gives_the_same_bits(whole, tmp_path):
    finish(tmp_path / "again", fresh=True)  # with another hash seed
    assert_same(tmp_path / "again", whole)


def test_a_killed_run_is_resumed_with_the_same_result(whole, tmp_path):
    out = tmp_path / "killed"
    killed(out, epoch=1, delay=0.05)
    assert "resuming after epoch" in finish(out)
    assert_same(out, whole)


@pytest.mark.extended
def test_a_damaged_state_is_skipped(whole, tmp_path):
    out = tmp_path / "damaged"
    killed(out, epoch=2, delay=0.0)
    newest = checkpoints.states(out / "checkpoints")[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert "is damaged; using the previous state" in finish(out)
    assert_same(out, whole)


@pytest.mark.proof
def test_a_hundred_kills_at_random_moments(whole, tmp_path):
    """Each run is killed repeatedly until it finishes; all results must be bitwise equal."""
    began = time.monotonic()
    finish(tmp_path / "measured")
    seconds, kills, ended = time.monotonic() - began, 0, 0
    moments = random.Random(0)
    while kills < 100:
        out = tmp_path / str(ended)
        while not (out / "summary.json").exists():
            process = start(out)
            try:
                printed = process.communicate(timeout=moments.uniform(0, seconds))[0]
                assert process.returncode == 0, printed
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        assert_same(out, whole)
        ended += 1
    assert ended > 1


@pytest.mark.extended
def test_conflicting_settings_are_named(tmp_path):
    out = tmp_path / "killed"
    killed(out, epoch=1, delay=0.0)
    words = [*WORDS, "--resume", out, "--learning-rate", "0.5", "--seed", "3", "--init", "elsewhere"]
    done = commands.run("-m", *words, timeout=200)
    assert done.returncode == 2
    rate = registry.get_spec("fashion_mnist").recipe("default").learning_rate
    assert f"recipe.learning_rate: {rate:g} in the run, 0.5 requested" in done.stderr
    assert "seed: 0 in the run, 3 requested" in done.stderr
    assert "init: None in the run, 'elsewhere' requested" in done.stderr
    assert "recipe.epochs" not in done.stderr


def test_a_run_is_compared_with_what_was_asked_for_explicitly(tmp_path):
    recipe = make_plan("fashion_mnist", recipe="quick")  # has builder arguments of its own
    run = RunFolder.create("fashion_mnist", str(tmp_path / "run"))
    (run.path / "config.json").write_text(json.dumps(recipe.to_json() | {"requested": recipe.to_json()}))
    assert run.differences(recipe) == []
    assert any("model_arguments.filters" in text for text in run.differences(make_plan("fashion_mnist")))
    plan, opened = train.open_or_plan(TrainSettings.of({"name": "fashion_mnist", "resume": str(run.path)}))
    assert (plan, opened.path) == (recipe, run.path)
    asked = {"resume": str(run.path), "settings": {"model.dropout": 0.4}}
    with pytest.raises(UsageError, match=r"other settings \(model_arguments.dropout: None in the run, 0.4 requested\)"):
        train.open_or_plan(TrainSettings.of(asked))
