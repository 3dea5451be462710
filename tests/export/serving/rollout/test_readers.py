"""A server that polls a base path while versions are published, promoted and taken back, and publishers are killed."""

import os
import subprocess
import sys
import threading
import time

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.formats.saved_model import served_versions
from export.serving.publisher import find_version_damage
from export.serving.rollout import promote, publish_canary, retire, rollback
from export.serving.rollout.state import read_state


class Poller(threading.Thread):
    """Reads `models.config` as TF Serving does: each version in it is whole, and each label is on one of them."""

    def __init__(self, base):
        super().__init__()
        self.base, self.stopping, self.states, self.problems = base, threading.Event(), set(), []

    def run(self):
        whole = set()
        while not self.stopping.is_set():
            try:
                text = (self.base / "rollout" / "models.config").read_text()
            except FileNotFoundError:  # before the first canary
                continue
            (entry,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
            versions, labels = set(entry.model_version_policy.specific.versions), dict(entry.version_labels)
            self.states.add((*sorted(versions), *sorted(labels.items())))
            if {*labels} != {"stable", "canary"} or not {*labels.values()} <= versions:
                self.problems.append(text)
            for version in versions - whole:
                self.problems += find_version_damage(self.base / str(version))
            whole |= versions


def kill_in_the_middle(bundle, base, seconds):
    """Start a publisher of a canary and kill it, after it has begun to write and some more seconds."""
    command = [sys.executable, "-m", "export", "publish", str(bundle), str(base), "--canary", "0.5", "--poll", "0.1"]
    before = set(os.listdir(base))
    with subprocess.Popen([*command, "--quiet"]) as process:
        while process.poll() is None and set(os.listdir(base)) == before:
            time.sleep(0.0005)
        time.sleep(seconds)
        process.kill()
    return process.returncode == -9


def run_updates(update, base, rounds, kills):
    poller, killed = Poller(base), 0
    poller.start()
    try:
        for number in range(rounds):
            if number < kills:
                killed += kill_in_the_middle(update("better"), base, 0.004 * number)
                if read_state(base).canary is not None:  # it had written the state
                    rollback(base)
            publish_canary(update("better" if number % 2 == 0 else "stable"), base, 0.5, poll_seconds=0.01)
            if number % 3 < 2:
                promote(base)
            if number % 3:
                rollback(base)
    finally:
        poller.stopping.set()
        poller.join()
    assert poller.problems == []
    assert len(poller.states) >= rounds
    assert killed == kills
    assert not any(find_version_damage(base / str(version)) for version in served_versions(base))
    retire(base, keep=2)
    assert [name for name in os.listdir(base) if name.startswith(".")] == []


def test_each_state_that_a_server_sees_is_whole(update, served):
    run_updates(update, served, rounds=3, kills=1)


@pytest.mark.proof
def test_fifty_updates(update, served):
    run_updates(update, served, rounds=50, kills=10)
