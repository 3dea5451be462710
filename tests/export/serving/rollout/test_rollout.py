"""Canaries are compared, promoted and taken back; old versions are removed."""

import functools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export import load, publish
from export.serving import rollout
from export.serving.publisher import find_version_damage
from export.serving.rollout import Requirements, promote, retire, rollback
from export.serving.rollout.state import State, read_state
from export.serving.rollout.update_check import check_update
from zoobase.errors import CheckFailed, ExportError, Unavailable

publish_canary = functools.partial(rollout.publish_canary, poll_seconds=0)  # no server reads it


def config_of(base):
    text = (base / "rollout" / "models.config").read_text()
    (entry,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return entry.base_path, list(entry.model_version_policy.specific.versions), dict(entry.version_labels)


def graph_of(base, version):
    return (base / str(version) / "variables" / "variables.data-00000-of-00001").read_bytes()


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
    for call in (
        promote,
        rollback,
        lambda base: retire(base, 1),
        lambda base: publish_canary(update("better"), base, 0.1),
    ):
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
    def run(*arguments):
        command = [sys.executable, "-m", "export", *map(str, arguments)]
        process = subprocess.run(command, capture_output=True, text=True)
        return process.returncode, process.stdout, process.stderr

    code, output, _ = run("publish", update("better"), served, "--canary", "0.25", "--poll", "0", "--json")
    result = json.loads(output)
    assert (code, result["version"], result["canary"], result["check"]["golden"]["share"]) == (0, 2, 0.25, 1.0)
    assert run("promote", served, "--expect", "7")[0] == 1
    code, output, _ = run("promote", served, "--expect", "2")
    assert code == 0
    assert "golden rows agree" in output
    assert "2: stable. To take it back: python -m export" in output
    assert json.loads(run("rollback", served, "--expect", "2", "--json")[1])["stable"] == 1
    code, _, error = run("rollback", served)
    assert (code, len(error.strip().splitlines())) == (1, 1)
    assert "no previous stable version" in error
    assert json.loads(run("retire", served, "--keep", "1", "--json")[1]) == {"removed": [2]}
    assert run("publish", update("better"), served, "--min-agreement", "0.5")[0] == 2
