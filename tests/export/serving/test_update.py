"""A new version is compared with the newest one, replaces it, and is taken back."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest

from export import export_model, load, publish, rollback
from export.formats.saved_model import served_versions
from export.serving.publisher import find_version_damage
from export.serving.update_check import Requirements, check_update
from tests.export.conftest import create
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError, Unavailable

COMPARED = Requirements()


@pytest.fixture(scope="session")
def update(bundles, shared):
    """Return a function from a name to a bundle.

    `stable`, `better` (other logits, the same classes) and `worse` (other classes) are of one classifier.
    """
    changes = {"better": (1, 0.25), "worse": (-1, 0)}  # of the kernel and the bias of the last layer

    def bundle(name):
        if name == "stable":
            return bundles("functional_cnn").path

        def make(path):
            model, contract = create("functional_cnn")
            model.load_weights(bundles("functional_cnn").path / "model.weights.h5")
            kernel, bias = model.layers[-1].get_weights()
            factor, shift = changes[name]
            model.layers[-1].set_weights([factor * kernel, bias + shift])
            export_model(model, path, contract=contract, formats=("keras", "saved_model"))

        return shared(f"bundle-update-{name}", make)

    return bundle


@pytest.fixture
def served(update, tmp_path):
    from export import publish

    publish(update("stable"), tmp_path / "m")
    return tmp_path / "m"


def graph_of(base, version):
    return (base / str(version) / "variables" / "variables.data-00000-of-00001").read_bytes()


def test_a_version_is_compared_and_taken_back(update, served):
    published = publish(update("better"), served, requirements=COMPARED)
    assert (published.version, published.check.golden.share, published.check.golden.rows > 40) == (2, 1.0, True)
    back = rollback(served)
    assert (back.version, back.copy_of) == (3, 1)
    assert graph_of(served, 3) == graph_of(served, 1) != graph_of(served, 2)
    with pytest.raises(CheckFailed, match="has no version before 1 to go back to"):
        rollback(served)
    publish(update("better"), served)
    back = rollback(served)  # of 4 to 3, which is a copy of 1: 2 was taken back before
    assert (back.version, back.copy_of) == (5, 1)
    assert not any(find_version_damage(served / name) for name in "12345")


@pytest.mark.extended
def test_another_classifier_is_refused_before_anything_is_written(update, served):
    before = sorted(os.listdir(served))
    with pytest.raises(CheckFailed, match=r"agrees with .* less than 0.99; the first that differs is row \d+ of "):
        publish(update("worse"), served, requirements=COMPARED)
    assert sorted(os.listdir(served)) == before
    assert publish(update("worse"), served, requirements=Requirements(min_agreement=0)).version == 2


@pytest.mark.extended
def test_recorded_requests_decide(update, served, tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "requests.jsonl"
    bodies = [json.dumps({"instances": rng.integers(0, 255, (2, 12, 12, 1)).tolist()}) for _ in range(3)]
    file.write_text("\n".join([bodies[0], "", *bodies[1:]]))
    check = publish(update("better"), served, requirements=Requirements(requests=file)).check
    assert (check.requests.rows, check.requests.agreed, check.latency_ratio > 0) == (6, 6, True)
    publish(update("worse"), tmp_path / "worse")
    worse = tmp_path / "worse" / "1"
    with pytest.raises(CheckFailed, match=r"in \d of 6 rows, .* is row \d of line \d of .*requests.jsonl"):
        check_update(served / "1", worse, Requirements(requests=file))
    for line, text in (("[1]", "is not a predict request"), ('{"signature_name": "x"}', "has no signature x")):
        file.write_text(bodies[0] + "\n" + line)
        with pytest.raises(ExportError, match=rf"line 2 of .*{text}"):
            check_update(served / "1", worse, Requirements(requests=file))
    with pytest.raises(Unavailable):
        check_update(served / "1", worse, Requirements(requests=tmp_path / "no"))


@pytest.mark.extended
def test_the_metric_may_not_drop(update, served, tmp_path):
    images = np.random.default_rng(0).uniform(0, 255, (400, 12, 12, 1)).astype("float32")

    truth = load(update("stable"))["serving_default"](image=images)["logits"].argmax(-1)
    labelled = Requirements(evaluation={"image": images, "label": truth}, min_agreement=0)
    check = publish(update("better"), served, requirements=labelled).check
    assert (check.metric["metric"], check.metric["drop"], check.metric["examples"]) == ("accuracy", 0.0, 400)
    patients = Requirements(evaluation={**labelled.evaluation, "groups": np.arange(400) // 20}, min_agreement=0)
    assert check_update(served / "1", served / "2", patients).metric["groups"] == 20
    publish(update("worse"), tmp_path / "worse")
    with pytest.raises(CheckFailed, match=r"accuracy 1.0000 -> .*may be more than 0.01"):
        check_update(served / "1", tmp_path / "worse" / "1", labelled)


def test_another_signature_is_refused(bundles, served, tmp_path):
    with pytest.raises(CheckFailed, match=r"cannot replace .*: "):
        publish(bundles("two_by_two").path, served, requirements=COMPARED)
    publish(bundles("two_by_two").path, tmp_path / "other")
    with pytest.raises(CheckFailed, match=r"cannot replace .*: "):
        check_update(tmp_path / "other" / "1", served / "1", COMPARED)
    assert sorted(os.listdir(served)) == ["1"]


def test_what_is_not_expected_changes_nothing(update, served):
    publish(update("better"), served)
    with pytest.raises(CheckFailed, match=r"version 2 is the newest of .*, not 1; nothing was changed"):
        rollback(served, expect=1)
    with ThreadPoolExecutor(2) as pool:  # two programs see the same fault, and go back once
        outcomes = [pool.submit(rollback, served, expect=2) for _ in range(2)]
        wait(outcomes)
    (failed,) = [outcome.exception() for outcome in outcomes if outcome.exception()]
    assert "not 2; nothing was changed" in str(failed)
    assert sorted(served_versions(served)) == [1, 2, 3]


@pytest.mark.parametrize("damage", ["file", "sums"])
def test_a_damaged_version_is_not_put_back(update, served, damage):
    publish(update("better"), served)
    if damage == "file":
        (served / "1" / "saved_model.pb").write_bytes(b"x")
    else:
        (served / "1" / "assets.extra" / "SHA256SUMS").unlink()
    with pytest.raises(CheckFailed, match=r"1 is damaged \(.*; nothing was changed"):
        rollback(served)
    assert sorted(os.listdir(served)) == ["1", "2"]


def test_a_base_path_without_versions(update, tmp_path):
    (tmp_path / "empty").mkdir()
    for base in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(Unavailable, match="holds no version"):
            rollback(base)
        with pytest.raises(Unavailable, match="holds no version"):
            publish(update("better"), base, requirements=COMPARED)


@pytest.mark.extended
def test_the_commands(update, served):
    published = run("publish", update("better"), served, "--compare", "--json")
    result = json.loads(published.stdout)
    assert (published.returncode, result["version"], result["check"]["golden"]["share"]) == (0, 2, 1.0)
    assert run("rollback", served, "--expect", "7").returncode == 1
    assert json.loads(run("rollback", served, "--expect", "2", "--json").stdout)["copy_of"] == 1
    failed = run("rollback", served)
    assert (failed.returncode, len(failed.stderr.strip().splitlines())) == (1, 1)
    refused = run("publish", update("worse"), served, "--min-agreement", "0.9")
    assert (refused.returncode, "less than 0.9" in refused.stderr) == (1, True)


@pytest.mark.extended
def test_each_version_that_a_server_sees_is_whole(update, served):
    stopping, problems = threading.Event(), []

    def poll():
        whole = set()
        while not stopping.is_set():
            for version in served_versions(served).keys() - whole:
                problems.extend(find_version_damage(served / str(version)))
                whole.add(version)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        for name in ("better", "stable", "better"):
            publish(update(name), served, requirements=COMPARED)
            rollback(served)
    finally:
        stopping.set()
        poller.join()
    assert (problems, len(served_versions(served))) == ([], 7)
