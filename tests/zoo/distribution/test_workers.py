"""Two workers on this machine, by TF_CONFIG, by --workers and by Ray: killed and resumed with the same bits."""

import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

import pipelines
from tests import commands
from tests.zoo.conftest import DATA, fit
from tests.zoo.distribution.two_workers import SETTINGS, assert_equal, start, wait_for_state, words
from zoo import train
from zoo.distribution import ray_cluster
from zoo.training import checkpoints
from zoobase.errors import MissingError, UsageError


@pytest.mark.extended
def test_two_workers_equal_one(undisturbed, tmp_path):
    fit("mnist_cnn", tmp_path / "run", SETTINGS)
    assert_equal(undisturbed, tmp_path / "run", atol=1e-5)
    evaluations = [json.loads((out / "evaluation.json").read_text()) for out in (tmp_path / "run", undisturbed)]
    assert evaluations[0]["metrics"] == pytest.approx(evaluations[1]["metrics"], abs=1e-5)


@pytest.mark.extended
@pytest.mark.parametrize("worker", [pytest.param(0, marks=pytest.mark.proof), 1])
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


def ray_workers(process):
    """Return the processes of the workers that a command has started through Ray."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "RayTrainWorker" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@pytest.mark.extended
def test_a_killed_worker_is_started_again_and_ends_with_the_same_bits(undisturbed, tmp_path):
    out = tmp_path / "run"
    process = start(*words(), "--ray", "local", "--workers", 2, "--out", out)
    wait_for_state(out, 2, process)
    os.kill(random.choice(ray_workers(process)), signal.SIGKILL)
    printed = process.finish()
    assert "2 replicas" in printed
    assert "resuming after epoch" in printed
    assert "Traceback" not in printed
    assert_equal(out, undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.extended
@pytest.mark.proof
def test_a_wrong_setting_is_the_error_of_the_command(tmp_path):
    process = start(*words(clip_norm=1.0), "--ray", "local", "--workers", 2, "--out", tmp_path / "run")
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 2, printed
    assert printed.splitlines()[-1].startswith("error: recipe.clip_norm is not possible with 2 replicas")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--min-workers", "1"], 2, "--min-workers needs --ray"),
        (["--ray", "local", "--workers", "2", "--min-workers", "3"], 2, "--min-workers 3 is more than --workers 2"),
        (["--ray", "127.0.0.1:9"], 3, "there is no Ray cluster at 127.0.0.1:9"),
        (["--ray", "nowhere"], 3, "there is no Ray cluster at nowhere"),
        (["--ray", "local", "--workers", "25", "--min-workers", "4"], 2, "batch_size=24 is too small for 25 replicas"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments, code, sentence, tmp_path):
    process = start(*words(), *arguments, "--out", tmp_path / "run")
    printed = process.communicate(timeout=100)[0]
    assert process.returncode == code
    assert sentence in printed
    assert "Traceback" not in printed


@pytest.mark.both
def test_without_ray_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"pip install .ray\["):
        ray_cluster.check("local")


PRINTED = [
    line.strip()
    for page in ("distribute.md", "batch-prediction.md")
    for line in (Path(__file__).parents[3] / "docs" / "how-to" / page).read_text().splitlines()
    if line.startswith("    python") and re.search(r"--ray \S+:\d+", line)
]


@pytest.mark.parametrize("command", PRINTED)
def test_a_printed_command_for_a_cluster_gets_as_far_as_its_address(command, tmp_path):
    words = re.sub(r"--ray \S+", "--ray 127.0.0.1:9", command).replace("/shared", str(tmp_path)).split()
    process = commands.Command(*words[1:], merged=True)
    assert process.wait(100) == 3
    assert "there is no Ray cluster at 127.0.0.1:9" in process.stdout


def test_some_commands_for_clusters_are_printed():
    assert any("--min-workers" in command for command in PRINTED)


@pytest.mark.proof
def test_ten_kills_at_random_moments(tmp_path):
    """Any worker, in any phase: mostly while it trains, validates or writes, else while it starts."""
    epochs, seed = 12, int(time.time())
    start(*words(epochs=epochs), "--workers", 2, "--out", tmp_path / "undisturbed").finish()
    out, generator, epoch, kills = tmp_path / "run", random.Random(seed), 0, []
    process = start(*words(epochs=epochs), "--ray", "local", "--workers", 2, "--out", out)
    while len(kills) < 10:
        if generator.random() < 0.7 or epoch == 0:
            epoch = newest(out) + 1
            wait_for_state(out, epoch, process)
        time.sleep(generator.uniform(0, 2))
        if found := ray_workers(process):
            os.kill(generator.choice(found), signal.SIGKILL)
            kills.append(newest(out))
    printed = process.finish(1200)
    print(f"seed {seed}, killed after epochs {kills}", printed)
    assert_equal(out, tmp_path / "undisturbed", epochs=epochs)


def newest(out):
    """Return the number of epochs of the newest state."""
    return max((int(path.stem[-5:]) for path in checkpoints.states(out / "checkpoints")), default=0)


@pytest.fixture
def cluster(monkeypatch):
    """Return a cluster of two machines of one processor each, simulated on this one by Ray."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.mark.extended
@pytest.mark.proof
def test_one_worker_is_enough_if_the_other_is_lost_for_good(undisturbed, cluster, tmp_path):
    out = tmp_path / "run"
    process = start(*words(), "--ray", cluster.address, "--workers", 2, "--min-workers", 1, "--out", out)
    wait_for_state(out, 2, process)
    cluster.remove_node(cluster.second, allow_graceful=False)
    printed = process.finish(900)
    print(printed)
    assert "2 replicas" in printed
    assert_equal(out, undisturbed, atol=1e-5)
