"""A manifest that says other than the certificate which was made for it."""

from __future__ import annotations

import json

import pytest

from export import publish, verify_bundle
from export.bundle.gate import find_contradiction
from tests.export.conftest import reseal
from zoobase.errors import CheckFailed


@pytest.fixture
def files(bundles):
    """Return the manifest and the certificate of a bundle, which a test may change."""
    folder = bundles("functional_cnn").path
    return [json.loads((folder / name).read_text()) for name in ("manifest.json", "parity.json")]


def artifact(manifest, format):
    return next(a for a in manifest["artifacts"] if a["format"] == format)


def test_a_bundle_agrees_with_its_certificate(bundles):
    for name in ("functional_cnn", "masked", "text"):  # with an unsupported HDF5 or TFLite file
        folder = bundles(name).path
        manifest, certificate = (json.loads((folder / n).read_text()) for n in ("manifest.json", "parity.json"))
        assert find_contradiction(manifest, certificate) is None
        assert certificate["request"]["formats"] == ["keras", "hdf5", "weights", "saved_model", "tflite"]


def test_a_lost_artifact(files):
    manifest, certificate = files
    manifest["artifacts"].remove(artifact(manifest, "tflite"))
    assert find_contradiction(manifest, certificate) == (
        "the certificate has a row for tflite/float32.tflite, and manifest.json lists no such artifact"
    )
    certificate["artifacts"] = [row for row in certificate["artifacts"] if row["format"] != "tflite"]
    assert find_contradiction(manifest, certificate) == (
        "tflite was asked for, and manifest.json lists no such artifact"
    )
    del certificate["request"]  # a bundle of before
    assert find_contradiction(manifest, certificate) is None


def test_other_states_endpoints_and_artifacts(files):
    manifest, certificate = files
    artifact(manifest, "keras")["state"] = "unsupported"
    assert "model.keras is unsupported, the certificate that it is present" in find_contradiction(manifest, certificate)
    artifact(manifest, "keras")["state"] = None
    artifact(manifest, "saved_model")["endpoints"] = []
    assert "the certificate has endpoint" in find_contradiction(manifest, certificate)
    artifact(manifest, "saved_model")["endpoints"] = [e["name"] for e in manifest["contract"]["endpoints"]]
    manifest["artifacts"].append(artifact(manifest, "keras") | {"path": "other.keras"})
    assert find_contradiction(manifest, certificate) == (
        "manifest.json lists other.keras, and the certificate has no row for it"
    )


def test_verify_and_publish_find_it(damaged, tmp_path):
    folder = damaged("functional_cnn")
    manifest = json.loads((folder / "manifest.json").read_text())
    artifact(manifest, "tflite")["state"] = "unsupported"
    artifact(manifest, "tflite")["reason"] = "no operator"
    (folder / "tflite/float32.tflite").unlink()
    reseal(folder, artifacts=manifest["artifacts"])
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == "fail"
    assert certificate.problems()[0].startswith("files: manifest.json says that tflite/float32.tflite is unsupported")
    with pytest.raises(CheckFailed, match="is not what was proven"):
        publish(folder, tmp_path / "m")
