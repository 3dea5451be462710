"""Canaries are compared, promoted and taken back, also under a server that polls and while publishers are killed."""

import functools
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export import load, publish
from export.formats.saved_model import served_versions
from export.serving import rollout
from export.serving.publisher import find_version_damage
from export.serving.rollout import Requirements, promote, retire, rollback
from export.serving.rollout.state import State, read_state
from export.serving.rollout.update_check import check_update
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError, Unavailable

publish_canary = functools.partial(rollout.publish_canary, poll_seconds=0)  # no server reads it


def config_of(base):
    text = (base / "rollout" / "models.config").read_text()
    (entry,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return entry.base_path, list(entry.model_version_policy.specific.versions), dict(entry.version_labels)


def graph_of(base, version):
    return (base / str(version) / "variables" / "variables.data-00000-of-00001").read_bytes()


@pytest.mark.extended
def test_a_canary_is_promoted_and_taken_back(update, served):
    canary = publish_canary(update("better"), served, 0.1)
    assert canary.state == State(1, canary=2, share=0.1) == read_state(served)
    assert (canary.check.golden.share, canary.check.golden.rows > 40) == (1.0, True)
    assert config_of(served) == ("/models/m", [1, 2], {"stable": 1, "canary": 2})
    with pytest.raises(ExportError, match=r"version 2 of .* is the canary"):
        publish_canary(update("better"), served, 0.1)
    with pytest.raises(ExportError, match="publish with --canary SHARE"):
        publish(update("better"), served)
    assert promote(served).state == State(2, previous=(1,))
    assert config_of(served) == ("/models/m", [1, 2], {"stable": 2, "canary": 2})
    with pytest.raises(ExportError, match="has no canary"):
        promote(served)
    assert rollback(served) == State(1)
    assert config_of(served) == ("/models/m", [1], {"stable": 1, "canary": 1})
    assert graph_of(served, 3) == graph_of(served, 1) != graph_of(served, 2)  # for servers that take the highest
    with pytest.raises(CheckFailed, match="no previous stable version"):
        rollback(served)


@pytest.mark.extended
def test_a_canary_is_withdrawn(update, served):
    publish_canary(update("better"), served, 0.5)
    assert rollback(served) == State(1)
    assert config_of(served) == ("/models/m", [1], {"stable": 1, "canary": 1})
    assert graph_of(served, 3) == graph_of(served, 1)
    assert publish_canary(update("better"), served, 0.5).version.version == 4


def test_what_a_person_changed_in_the_configuration_is_kept(update, served):
    publish_canary(update("better"), served, 0.5)
    path = served / "rollout" / "models.config"
    path.write_text(path.read_text().replace("/models/m", "/data/m"))
    promote(served)
    assert config_of(served) == ("/data/m", [1, 2], {"stable": 2, "canary": 2})
    path.write_text("no { configuration")
    with pytest.raises(ExportError, match="not the configuration of one model"):
        rollback(served)
    assert read_state(served) == State(2, previous=(1,))


@pytest.mark.extended
def test_another_classifier_is_refused_before_anything_is_written(update, served):
    before = sorted(os.listdir(served))
    with pytest.raises(CheckFailed, match=r"agrees with .* less than 0.99; the first that differs is row \d+ of "):
        publish_canary(update("worse"), served, 0.1)
    assert sorted(os.listdir(served)) == before
    assert publish_canary(update("worse"), served, 0.1, requirements=Requirements(min_agreement=0)).state.canary == 2
    with pytest.raises(CheckFailed, match=r"less than 0\.99"):
        promote(served)
    assert read_state(served).canary == 2


def test_recorded_requests_decide(update, served, tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "requests.jsonl"
    bodies = [json.dumps({"instances": rng.integers(0, 255, (2, 12, 12, 1)).tolist()}) for _ in range(3)]
    file.write_text("\n".join([bodies[0], "", *bodies[1:]]))
    check = publish_canary(update("better"), served, 0.1, requirements=Requirements(requests=file)).check
    assert (check.requests.rows, check.requests.agreed, check.latency_ratio > 0) == (6, 6, True)
    publish(update("worse"), tmp_path / "worse")
    with pytest.raises(CheckFailed, match=r"in \d of 6 rows, .* is row \d of line \d of .*requests.jsonl"):
        check_update(served / "1", tmp_path / "worse" / "1", Requirements(requests=file))
    for line, text in (("[1]", "is not a predict request"), ('{"signature_name": "x"}', "has no signature x")):
        file.write_text(bodies[0] + "\n" + line)
        with pytest.raises(ExportError, match=rf"line 2 of .*{text}"):
            promote(served, requirements=Requirements(requests=file))
    with pytest.raises(Unavailable):
        promote(served, requirements=Requirements(requests=tmp_path / "no"))
    assert read_state(served).canary == 2


def test_the_metric_may_not_drop(update, served, tmp_path):
    images = np.random.default_rng(0).uniform(0, 255, (400, 12, 12, 1)).astype("float32")

    truth = load(update("stable"))["serving_default"](image=images)["logits"].argmax(-1)
    labelled = Requirements(evaluation={"image": images, "label": truth}, min_agreement=0)
    check = publish_canary(update("better"), served, 0.1, requirements=labelled).check
    assert (check.metric["metric"], check.metric["drop"], check.metric["examples"]) == ("accuracy", 0.0, 400)
    publish(update("worse"), tmp_path / "worse")
    with pytest.raises(CheckFailed, match=r"accuracy 1.0000 -> .*may be more than 0.01"):
        check_update(served / "1", tmp_path / "worse" / "1", labelled)


def test_another_signature_is_refused(bundles, served, tmp_path):
    with pytest.raises(CheckFailed, match=r"cannot replace .*: "):
        publish_canary(bundles("two_by_two").path, served, 0.1)
    publish(bundles("two_by_two").path, tmp_path / "other")
    with pytest.raises(CheckFailed, match=r"cannot replace .*: "):
        check_update(tmp_path / "other" / "1", served / "1", Requirements())
    assert sorted(os.listdir(served)) == ["1"]


@pytest.mark.extended
def test_old_versions_are_removed(update, served):
    for _ in range(3):
        publish_canary(update("better"), served, 0.1)
        promote(served)
    assert rollback(served) == State(3, previous=(1, 2))
    assert retire(served, keep=1) == [1, 4]
    assert sorted(os.listdir(served)) == ["2", "3", "5", "rollout"]  # 5 is 3 for servers that take the highest
    assert read_state(served) == State(3, previous=(2,))
    assert not any(find_version_damage(served / name) for name in "235")
    assert rollback(served) == State(2)
    with pytest.raises(ExportError, match="1 or more"):
        retire(served, keep=0)


def test_what_is_not_expected_changes_nothing(update, served):
    publish_canary(update("better"), served, 0.1)
    for call in (promote, rollback):
        with pytest.raises(CheckFailed, match=r"it is version 2 of .* now, not 1; nothing was changed"):
            call(served, expect=1)
    assert read_state(served).canary == 2
    assert promote(served, expect=2).state.stable == 2
    with ThreadPoolExecutor(2) as pool:  # two programs see the same fault, and go back once
        outcomes = [pool.submit(rollback, served, expect=2) for _ in range(2)]
        wait(outcomes)
    (failed,) = [outcome.exception() for outcome in outcomes if outcome.exception()]
    assert "now, not 2" in str(failed)
    assert read_state(served) == State(1)


@pytest.mark.parametrize("damage", ["file", "sums"])
def test_a_damaged_version_is_neither_promoted_nor_put_back(update, served, damage):
    def harm(version):
        if damage == "file":
            (served / version / "saved_model.pb").write_bytes(b"x")
        else:
            (served / version / "assets.extra" / "SHA256SUMS").unlink()

    publish_canary(update("better"), served, 0.1)
    promote(served)
    harm("1")
    with pytest.raises(CheckFailed, match=r"1 is damaged \(.*; nothing was changed"):
        rollback(served)
    assert read_state(served) == State(2, previous=(1,))
    publish_canary(update("stable"), served, 0.1)
    harm("3")
    with pytest.raises(CheckFailed, match=r"3 is damaged \(.*; nothing was changed"):
        promote(served)
    assert read_state(served).canary == 3
    assert sorted(os.listdir(served)) == ["1", "2", "3", "rollout"]


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_invalid_shares(update, served, share):
    with pytest.raises(ExportError, match="between 0 and 1"):
        publish_canary(update("better"), served, share)


def test_invalid_folders(update, served, tmp_path):
    canary = lambda base: publish_canary(update("better"), base, 0.1)  # noqa: E731
    for call in (promote, rollback, lambda base: retire(base, 1), canary):
        with pytest.raises(Unavailable, match="there is no base path"):
            call(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match="holds no version"):
        publish_canary(update("better"), tmp_path / "empty", 0.1)
    (served / "rollout").mkdir()
    for text in ("", "{}", '{"stable": 7, "canary": null, "share": null, "previous": []}'):
        (served / "rollout" / "rollout.json").write_text(text)
        with pytest.raises(ExportError, match=r"cannot be read|names version 7"):
            rollback(served)


def test_the_commands(update, served):
    published = run("publish", update("better"), served, "--canary", "0.25", "--poll", "0", "--json")
    result = json.loads(published.stdout)
    assert (result["version"], result["canary"], result["check"]["golden"]["share"]) == (2, 0.25, 1.0)
    assert run("promote", served, "--expect", "7").returncode == 1
    promoted = run("promote", served, "--expect", "2")
    assert (published.returncode, promoted.returncode) == (0, 0)
    assert "golden rows agree" in promoted.stdout
    assert "2: stable. To take it back: python -m export" in promoted.stdout
    assert json.loads(run("rollback", served, "--expect", "2", "--json").stdout)["stable"] == 1
    failed = run("rollback", served)
    assert (failed.returncode, len(failed.stderr.strip().splitlines())) == (1, 1)
    assert "no previous stable version" in failed.stderr
    assert json.loads(run("retire", served, "--keep", "1", "--json").stdout) == {"removed": [2]}
    assert run("publish", update("better"), served, "--min-agreement", "0.5").returncode == 2


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


@pytest.mark.extended
def test_each_state_that_a_server_sees_is_whole(update, served):
    run_updates(update, served, rounds=3, kills=1)


@pytest.mark.proof
def test_fifty_updates(update, served):
    run_updates(update, served, rounds=50, kills=10)
