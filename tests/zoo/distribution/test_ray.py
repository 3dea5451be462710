"""Training by Ray: killed workers are started again and end with the same bits; one is enough if need be."""

import contextlib
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import commands
from tests.zoo.distribution.two_workers import assert_equal, finish, start, wait_for_state, words
from zoo.distribution import ray_cluster
from zoo.training import checkpoints
from zoobase.errors import MissingError


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
    printed = finish(process)
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
    finish(start(*words(epochs=epochs), "--workers", 2, "--out", tmp_path / "undisturbed"))
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
    printed = finish(process, timeout=1200)
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
    printed = finish(process, timeout=900)
    print(printed)
    assert "2 replicas" in printed
    assert_equal(out, undisturbed, atol=1e-5)
