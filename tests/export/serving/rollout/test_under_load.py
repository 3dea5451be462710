"""Updates and rollbacks while clients ask a server: no failed answer, and none that mixes two versions."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from export import load
from export.formats.saved_model import served_versions
from export.serving.publisher import find_version_damage
from export.serving.rollout import promote, publish_canary, retire, rollback
from export.serving.rollout.state import read_state
from tests.export.serving.rollout.server import Server

ROWS = 4


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (ROWS, 12, 12, 1)).astype("float32")


@pytest.fixture
def answers(update, images):
    """Return the logits of each bundle."""
    return {name: load(update(name), "c_api")["serving_default"](image=images)["logits"] for name in NAMES}


NAMES = ("stable", "better")


class Client(threading.Thread):
    """A client that sends the canary its share of requests, and asks the stable version where there is no canary."""

    def __init__(self, server, images, answers, seed):
        super().__init__()
        self.server, self.answers, self.rng = server, answers, random.Random(seed)
        self.body = json.dumps({"instances": images.tolist()})
        self.stopping = threading.Event()
        self.counts, self.problems = dict.fromkeys((*NAMES, "canary"), 0), []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        while not self.stopping.is_set():
            try:
                share = json.loads((self.server.base / "rollout" / "rollout.json").read_text())["share"]
                label = "canary" if share and self.rng.random() < share else "stable"
                status, text = self.ask(connection, label)
                if label == "canary" and status == 404:  # withdrawn meanwhile, or not loaded yet
                    status, text = self.ask(connection, "stable")
                elif label == "canary":
                    self.counts["canary"] += 1
                self.check(status, text)
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")

    def ask(self, connection, label):
        connection.request("POST", f"/v1/models/m/labels/{label}:predict", self.body)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def check(self, status, text):
        """Note an answer that is not that of one version for all its rows."""
        if status != 200:
            self.problems.append(f"{status}: {text}")
            return
        logits = np.array(json.loads(text)["predictions"])
        equal = [name for name, value in self.answers.items() if np.allclose(logits, value, atol=1e-4)]
        if len(equal) == 1:
            self.counts[equal[0]] += 1
        else:
            self.problems.append(f"an answer of no single version: {logits}")


def kill_in_the_middle(bundle, base, seconds):
    """Start a publisher of a canary and kill it, after it has begun to write and some more seconds."""
    command = [sys.executable, "-m", "export", "publish", str(bundle), str(base), "--canary", "0.5", "--quiet"]
    before = set(os.listdir(base))
    with subprocess.Popen(command) as process:
        while process.poll() is None and set(os.listdir(base)) == before:
            time.sleep(0.0005)
        time.sleep(seconds)
        process.kill()
    return process.returncode == -9


def update_under_load(server, update, rounds, kills):
    """Publish, promote and take back in turn; every third canary is withdrawn without a promotion."""
    base, killed = server.base, 0
    for number in range(rounds):
        bundle = update("better") if read_is_stable(base, update) else update("stable")
        if number < kills:
            stopped = kill_in_the_middle(bundle, base, 0.004 * number)
            killed += stopped
            if read_state(base).canary is not None:  # it had finished
                server.wait("stable", rollback(base).stable)
                server.wait("canary", None)
        server.wait("canary", publish_canary(bundle, base, 0.5).state.canary)
        time.sleep(0.05)
        if number % 3 < 2:
            server.wait("stable", promote(base).state.stable)
            server.wait("canary", None)
        if number % 3:
            server.wait("stable", rollback(base).stable)
            server.wait("canary", None)
    return killed


def read_is_stable(base, update):
    """Return whether the stable version is the bundle `stable`."""
    name = "variables/variables.data-00000-of-00001"
    stable = base / str(read_state(base).stable)
    return (stable / name).read_bytes() == (update("stable") / "saved_model" / "1" / name).read_bytes()


def run_under_load(served, update, images, answers, rounds, kills):
    publish_canary(update("better"), served, 0.5)  # writes the configuration that the server is started with
    rollback(served)
    with Server(served) as server:
        clients = [Client(server, images, answers, seed) for seed in range(2)]
        for client in clients:
            client.start()
        try:
            killed = update_under_load(server, update, rounds, kills)
        finally:
            for client in clients:
                client.stopping.set()
            for client in clients:
                client.join()
    assert [client.problems[:3] for client in clients] == [[], []]
    assert server.problems == []
    assert killed == kills
    counts = {name: sum(client.counts[name] for client in clients) for name in clients[0].counts}
    assert min(counts.values()) > 0, counts
    assert not any(find_version_damage(served / str(version)) for version in served_versions(served))
    retire(served, keep=2)
    assert [name for name in os.listdir(served) if name.startswith(".")] == []
    print(counts, "answers,", max(served_versions(served)), "versions,", killed, "publishers killed")


def test_ten_updates_under_load(served, update, images, answers):
    run_under_load(served, update, images, answers, rounds=6, kills=1)


@pytest.mark.proof
def test_fifty_updates_under_load(served, update, images, answers):
    run_under_load(served, update, images, answers, rounds=50, kills=10)


def test_a_server_without_the_configuration_goes_back_too(served, update):
    publish_canary(update("better"), served, 0.5)
    promote(served)
    with Server(served, configured=False) as server:
        assert server.labels == {"stable": 2}
        rollback(served)
        server.wait("stable", 3)
    assert server.problems == []
    first, third = (served / n / "variables" / "variables.data-00000-of-00001" for n in "13")
    assert first.read_bytes() == third.read_bytes()
