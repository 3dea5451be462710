"""A new version replaces the newest one, and is taken back."""

import json
import os
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from export import export_model, publish, rollback
from export.formats.saved_model import served_versions
from export.serving.publisher import find_version_damage
from tests.export.conftest import create
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, Unavailable


@pytest.fixture(scope="session")
def update(bundles, shared):
    """Return a function from a name to a bundle; `stable` and `better` (other logits) are of one classifier."""

    def bundle(name):
        if name == "stable":
            return bundles("functional_cnn").path

        def make(path):
            model, contract = create("functional_cnn")
            model.load_weights(bundles("functional_cnn").path / "model.weights.h5")
            kernel, bias = model.layers[-1].get_weights()
            model.layers[-1].set_weights([kernel, bias + 0.25])
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


def test_a_version_is_taken_back(update, served):
    assert publish(update("better"), served).version == 2
    back = rollback(served)
    assert (back.version, back.copy_of) == (3, 1)
    assert graph_of(served, 3) == graph_of(served, 1) != graph_of(served, 2)
    with pytest.raises(CheckFailed, match="has no version before 1 to go back to"):
        rollback(served)
    publish(update("better"), served)
    back = rollback(served)  # of 4 to 3, which is a copy of 1: 2 was taken back before
    assert (back.version, back.copy_of) == (5, 1)
    assert not any(find_version_damage(served / name) for name in "12345")


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


def test_a_base_path_without_versions(tmp_path):
    (tmp_path / "empty").mkdir()
    for base in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(Unavailable, match="holds no version"):
            rollback(base)


@pytest.mark.extended
def test_the_commands(update, served):
    published = run("publish", update("better"), served, "--json")
    result = json.loads(published.stdout)
    assert (published.returncode, result["version"]) == (0, 2)
    assert run("rollback", served, "--expect", "7").returncode == 1
    assert json.loads(run("rollback", served, "--expect", "2", "--json").stdout)["copy_of"] == 1
    failed = run("rollback", served)
    assert (failed.returncode, len(failed.stderr.strip().splitlines())) == (1, 1)
