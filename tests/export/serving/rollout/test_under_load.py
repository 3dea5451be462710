"""Updates and rollbacks while clients ask nginx: no failed answer, and none that mixes two versions."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml

from export import load
from export.formats.saved_model import served_versions
from export.serving import manifests
from export.serving.publisher import find_version_damage
from export.serving.rollout import promote, publish_canary, retire, rollback
from export.serving.rollout.state import read_state
from export.serving.servers import builtin, launching, local
from export.serving.web.site import write_project
from tests.export.serving.rollout.deployment import NAME, POLL, deployed
from tests.export.serving.rollout.server import settled

ROWS, CLIENTS = 4, 8
NAMES = ("stable", "better")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (ROWS, 12, 12, 1)).astype("float32")


@pytest.fixture
def answers(update, images):
    """Return the logits of each bundle."""
    return {name: load(update(name), "c_api")["serving_default"](image=images)["logits"] for name in NAMES}


class Client(threading.Thread):
    """A client that asks nginx, which knows the share of the canary."""

    def __init__(self, deployment, images, answers):
        super().__init__()
        self.page, self.answers = urlsplit(deployment.page), answers
        self.body = json.dumps({"instances": images.tolist()})
        self.stopping = threading.Event()
        self.counts, self.problems = dict.fromkeys(NAMES, 0), []

    def run(self):
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection(self.page.hostname, self.page.port, timeout=30)
            try:
                for number in range(20):  # noqa: B007
                    connection.request("POST", f"/v1/models/{NAME}:predict", self.body)
                    response = connection.getresponse()
                    self.check(response.status, response.read().decode())
                    time.sleep(0.02)
            except Exception as error:
                # a worker that nginx replaces closes connections between two requests: clients open another one
                if number == 0 or not isinstance(error, ConnectionError):
                    self.problems.append(f"{type(error).__name__}: {error}")
            finally:
                connection.close()

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
    command = [sys.executable, "-m", "export", "publish", str(bundle), str(base), "--canary", "0.5", "--poll", "0.1"]
    before = set(os.listdir(base))
    with subprocess.Popen([*command, "--quiet"]) as process:
        while process.poll() is None and set(os.listdir(base)) == before:
            time.sleep(0.0005)
        time.sleep(seconds)
        process.kill()
    return process.returncode == -9


def labelled(deployment, label, version):
    """Wait until a label has reached a version."""
    end = time.monotonic() + 30
    while True:
        found = json.loads(launching.fetch(f"{deployment.url}/labels/{label}/metadata"))["model_spec"]["version"]
        if found == str(version):
            return
        assert time.monotonic() < end, f"{label} is {found}, not {version}"
        time.sleep(POLL / 4)


def update_under_load(deployment, update, rounds, kills):
    """Publish, promote and take back in turn; every third canary is withdrawn without a promotion."""
    base, killed = deployment.base, 0
    for number in range(rounds):
        bundle = update("better") if read_is_stable(base, update) else update("stable")
        if number < kills:
            killed += kill_in_the_middle(bundle, base, 0.004 * number)
            if read_state(base).canary is not None:  # it had written the state
                labelled(deployment, "stable", rollback(base).stable)
        state = publish_canary(bundle, base, 0.5, poll_seconds=POLL).state
        labelled(deployment, "canary", state.canary)
        time.sleep(0.3)
        if number % 3 < 2:
            labelled(deployment, "stable", promote(base).state.stable)
        if number % 3:
            labelled(deployment, "stable", rollback(base).stable)
        labelled(deployment, "canary", read_state(base).stable)
    return killed


def read_is_stable(base, update):
    """Return whether the stable version is the bundle `stable`."""
    name = "variables/variables.data-00000-of-00001"
    stable = base / str(read_state(base).stable)
    return (stable / name).read_bytes() == (update("stable") / "saved_model" / "1" / name).read_bytes()


def run_under_load(update, tmp_path, images, answers, rounds, kills):
    with deployed(update("stable"), tmp_path) as deployment:
        clients = [Client(deployment, images, answers) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            killed = update_under_load(deployment, update, rounds, kills)
        finally:
            for client in clients:
                client.stopping.set()
            for client in clients:
                client.join()
        base = deployment.base
    assert [problem for client in clients for problem in client.problems[:3]] == []
    assert killed == kills
    counts = {name: sum(client.counts[name] for client in clients) for name in NAMES}
    assert min(counts.values()) > 0, counts
    assert not any(find_version_damage(base / str(version)) for version in served_versions(base))
    retire(base, keep=2)
    assert [name for name in os.listdir(base) if name.startswith(".")] == []
    print(counts, "answers,", max(served_versions(base)), "versions,", killed, "publishers killed")


def test_updates_under_load(update, tmp_path, images, answers):
    run_under_load(update, tmp_path, images, answers, rounds=3, kills=1)


@pytest.mark.proof
def test_fifty_updates_under_load(update, tmp_path, images, answers):
    run_under_load(update, tmp_path, images, answers, rounds=50, kills=10)


def ask(deployment, path=":predict", image=None, headers=False):
    body = json.dumps({"instances": np.zeros((1, 12, 12, 1)).tolist() if image is None else image})
    return json.loads(launching.fetch(f"{deployment.page}/v1/models/{NAME}{path}", body))


def logged(deployment):
    return [json.loads(line) for path in deployment.log.parent.iterdir() for line in path.read_text().splitlines()]


def test_nginx_divides_the_requests_and_logs_a_sample(update, tmp_path):
    import urllib.error
    import urllib.request

    with deployed(update("stable"), tmp_path, logged="50% 1; * 0;") as deployment:
        publish_canary(update("better"), deployment.base, 0.25, poll_seconds=POLL)
        labelled(deployment, "canary", 2)
        time.sleep(10 * POLL)  # nginx reads its configuration again
        logits = [ask(deployment, path)["predictions"] for path in ("/labels/stable:predict", "/labels/canary:predict")]
        assert logits[0] != logits[1]
        answers = [ask(deployment)["predictions"] for _ in range(400)]
        assert {json.dumps(answer) for answer in answers} == {json.dumps(answer) for answer in logits}
        assert 60 < sum(answer == logits[1] for answer in answers) < 140  # 100 expected, deviation 8.7
        lines = logged(deployment)
        assert 120 < len(lines) < 280  # 200 expected, and files that are gone
        assert len(list(deployment.log.parent.iterdir())) > 1  # rotated
        assert {line["label"] for line in lines} == {"stable", "canary"}
        assert json.loads(lines[0]["body"])["instances"]
        # a canary that cannot answer: the stable version does
        file = deployment.base / "rollout" / "models.config"
        file.write_text(file.read_text().replace("versions: 2", ""))
        settled(deployment.url, {2: "END", 1: "AVAILABLE"})
        with pytest.raises(launching.Refused):
            ask(deployment, "/labels/canary:predict")
        assert all(ask(deployment)["predictions"] == logits[0] for _ in range(80))
        assert "404" in {line["status"] for line in logged(deployment)}  # of the canary, whoever answered in its place
        with pytest.raises(launching.Refused) as error:
            ask(deployment, image=[[1, 2]])
        assert error.value.status == 400
        with urllib.request.urlopen(f"{deployment.page}/v1/models/{NAME}") as response:
            assert response.headers["Cache-Control"] == "no-store"
        request = urllib.request.Request(f"{deployment.page}/index.html", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as response:
            assert (response.headers["Content-Encoding"], response.headers["Cache-Control"]) == ("gzip", "no-cache")
            request.add_header("If-None-Match", response.headers["ETag"])
        with pytest.raises(urllib.error.HTTPError, match="304"):
            urllib.request.urlopen(request)
        request = urllib.request.Request(f"{deployment.page}/assets/ui.js")
        with urllib.request.urlopen(request) as response:
            assert "max-age" in response.headers["Cache-Control"]


def test_the_health_checks_of_the_project_and_of_the_image(update, tmp_path):
    """As docker would run them: with bash, and without curl."""
    manifests.write_docker(update("stable"), tmp_path / "image", "m")
    (line,) = [line for line in (tmp_path / "image" / "Dockerfile").read_text().splitlines() if "HEALTHCHECK" in line]
    project = write_project(update("stable"), tmp_path / "project", name="m")
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    checks = [json.loads(line[line.index("[") :]), services["model"]["healthcheck"]["test"][1:]]
    (port,) = launching.free_ports(1)

    def healthy():
        words = [[word.replace("8501", str(port)) for word in check] for check in checks]
        return [
            subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode for check in words
        ]

    assert all(healthy())
    with local.serving(local.model_of(project / "models" / "m"), builtin, port):
        assert healthy() == [0, 0]
    with local.serving(local.Model("other", project / "models" / "m", 1, (), None), builtin, port):
        assert all(healthy())


def test_a_server_without_the_configuration_goes_back_too(served, update, tmp_path):
    publish_canary(update("better"), served, 0.5)
    promote(served)
    model = local.Model("m", served, 2, (), None)  # that of a server which serves the highest number
    with local.serving(model, builtin, *launching.free_ports(1)) as answered:
        rollback(served)
        settled(answered.url, {3: "AVAILABLE"})
    first, third = (served / n / "variables" / "variables.data-00000-of-00001" for n in "13")
    assert first.read_bytes() == third.read_bytes()


def test_a_base_path_is_followed_from_its_first_canary_on(served, update):
    with local.serving(
        local.model_of(served), builtin, *launching.free_ports(1), options=builtin.Options(poll_seconds=POLL)
    ) as answered:
        settled(answered.url, {1: "AVAILABLE"})
        publish_canary(update("better"), served, 0.5)
        settled(answered.url, {1: "AVAILABLE", 2: "AVAILABLE"})
        promote(served)
        for label in ("stable", "canary"):
            labelled(type("", (), {"url": answered.url}), label, 2)
        assert publish_canary(update("stable"), served, 0.5, poll_seconds=POLL).state.canary == 3
        labelled(type("", (), {"url": answered.url}), "canary", 3)
        labelled(type("", (), {"url": answered.url}), "stable", 2)
