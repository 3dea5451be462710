"""The differences between two bundles."""

import json

import h5py
import pytest

from export.bundle.diff import diff
from tests.export.conftest import reseal
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError


def test_nothing_changed(bundles):
    path = bundles("functional_cnn").path
    assert diff(path, path) == {}
    assert json.loads(run("diff", path, path, "--json").stdout) == {"same": True, "changes": {}}


def test_every_section(bundles, damaged):
    path, folder = bundles("functional_cnn").path, damaged("functional_cnn")
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        changes = []
        file.visititems(lambda name, item: changes.append((name, item)) if getattr(item, "ndim", 0) == 4 else None)
        name, kernel = changes[0]
        kernel[0, 0, 0, 0] += 0.5
    manifest = json.loads((folder / "manifest.json").read_text())
    contract = manifest["contract"]
    contract["labels"] = [*contract["labels"][1:], contract["labels"][0]]
    contract["endpoints"][0]["inputs"][0]["high"] = 1
    (folder / "tflite/float32.tflite").write_bytes(b"x" * 10)
    reseal(folder, contract=contract, metrics={"accuracy": 0.5})
    changes = diff(path, folder)
    assert set(changes) == {"weights", "contract", "labels", "metrics", "sizes"}
    assert changes["weights"][0].startswith(f"{name}: 1 of 54 values, by at most 0.5, ")
    assert changes["labels"] == ["the same 4 labels in another order: 4 moved"]
    assert changes["metrics"] == ["accuracy added: 0.5"]
    assert changes["contract"][0].startswith("serving_default, input image: ")
    assert changes["sizes"][-1].startswith("tflite: ")
    process = run("diff", path, folder)
    assert process.returncode == 0
    assert "5 changes" in process.stdout
    assert run("diff", path, folder, "--exit-code").returncode == 1


def test_other_models(bundles):
    changes = diff(bundles("functional_cnn").path, bundles("two_by_two").path)
    assert any("removed" in text for text in changes["weights"])
    assert "ant removed" in changes["labels"]


def test_folders_that_are_not_bundles(damaged, tmp_path):
    folder = damaged("two_by_two")
    with pytest.raises(ExportError, match="no such folder"):
        diff(folder, tmp_path / "nowhere")
    (folder / "model.h5").write_bytes(b"x")
    with pytest.raises(CheckFailed, match="damaged"):
        diff(folder, folder)
    assert run("diff", folder, folder).returncode == 1
