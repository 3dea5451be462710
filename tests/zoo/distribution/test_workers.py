"""Two workers on this machine, by TF_CONFIG, by --workers and by Ray: killed and resumed with the same bits."""

import contextlib
import json
import os
import random
import signal
from pathlib import Path

import psutil
import pytest

import pipelines
from tests import commands
from tests.zoo.conftest import DATA, fit
from tests.zoo.distribution.two_workers import SETTINGS, assert_equal, start, wait_for_state, words
from zoo import train
from zoo.training import checkpoints
from zoobase.errors import UsageError


@pytest.mark.extended
def test_two_workers_equal_one(undisturbed, tmp_path):
    fit("mnist_cnn", tmp_path / "run", SETTINGS)
    assert_equal(undisturbed, tmp_path / "run", atol=1e-5)
    evaluations = [json.loads((out / "evaluation.json").read_text()) for out in (tmp_path / "run", undisturbed)]
    assert evaluations[0]["metrics"] == pytest.approx(evaluations[1]["metrics"], abs=1e-5)


@pytest.mark.proof
@pytest.mark.parametrize("worker", [0, 1])
def test_a_killed_worker_is_resumed_with_the_same_bits(worker, undisturbed, tmp_path):
    """The newest state is cut off as well, as if the machine had failed while it was written."""
    out = tmp_path / "run"
    process = start(*words(), "--workers", 2, "--out", out)
    wait_for_state(out, 2, process)
    os.kill(child(process, worker), signal.SIGKILL)
    printed = process.communicate(timeout=200)[0]
    assert process.returncode == 1
    assert f"error: worker {worker} was ended by SIGKILL" in printed
    assert f"--resume {out}" in printed
    assert "Traceback" not in printed
    newest = checkpoints.states(out / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])

    printed = start(*words(), "--workers", 2, "--out", out).finish()
    assert f"{newest} is damaged; using the previous state" in printed
    assert_equal(out, undisturbed)


def child(process, index):
    """Return the process id of a worker that `--workers` started."""
    for each in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):
            task = json.loads(each.environ().get("TF_CONFIG", "{}")).get("task", {})
            if task.get("index") == index and "python" in each.name():  # a shell waits to remove temporary files
                return each.pid
    raise AssertionError(f"there is no worker {index}")


@pytest.mark.extended
def test_an_error_of_the_workers_is_that_of_the_command(tmp_path):
    process = start(*words(), "--set=recipe.batch_size=1", "--workers", 2, "--out", tmp_path / "run")
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 2, printed
    assert "error: recipe.batch_size=1 is too small for 2 replicas" in printed
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


@pytest.mark.extended
@pytest.mark.proof
def test_workers_read_shards_of_their_own_and_resume_within_an_epoch(tmp_path):
    """The first worker is killed within an epoch; the same command goes on with the next batch."""
    data = pipelines.load("mnist", data_dir=str(DATA["mnist"]))
    pipelines.write_shards(data, tmp_path / "shards", shards=4)
    own = [*words(limit=0), "--set=data=shards", f"--data-dir={tmp_path / 'shards'}", "--workers=2"]
    start(*own, "--out", tmp_path / "undisturbed").finish()
    out = tmp_path / "run"
    process = start(*own, "--out", out, "--checkpoint-minutes", 1e-4)
    process.wait_for(lambda: any("-00002-" in path.name for path in checkpoints.states(out / "checkpoints")))
    os.kill(child(process, 0), signal.SIGKILL)
    process.communicate(timeout=200)
    printed = start(*own, "--out", out).finish()
    assert "steps of the next" in printed
    assert_equal(out, tmp_path / "undisturbed")


@pytest.mark.proof
def test_ray_starts_a_killed_worker_again_and_ends_with_the_same_bits(undisturbed, tmp_path):
    out, script = tmp_path / "run", Path(__file__).parents[3] / "examples" / "cluster" / "ray_train.py"
    process = commands.Command(script, 2, out, *words(), env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}, merged=True)
    wait_for_state(out, 2, process)
    os.kill(random.choice(ray_workers(process)), signal.SIGKILL)
    assert "resuming after epoch" in process.finish()
    assert_equal(out, undisturbed)


def ray_workers(process):
    """Return the processes of the workers that a command has started through Ray."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "RayTrainWorker" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found
