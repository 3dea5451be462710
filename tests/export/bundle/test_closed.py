"""A bundle is closed: what a server, a loader or a person could take for a part of it, and that is none, fails it.

Each change is sealed again: the sums agree.
"""

import dataclasses
import json
import shutil

import keras
import pytest

from export import infer_contract, publish, verify_bundle
from export.bundle.gate import find_contradiction
from export.formats.saved_model import save
from export.proof.certificate import FAIL
from tests.export.conftest import reseal
from zoobase.errors import CheckFailed


def second_version(folder):
    """TF Serving serves the highest version of a folder, whatever the manifest says."""
    shutil.copytree(folder / "saved_model/1", folder / "saved_model/2")


def program(folder):
    (folder / "verify.sh").write_text("#!/bin/sh\n")
    (folder / "verify.sh").chmod(0o755)


def second_file(folder):
    shutil.copy(folder / "model.keras", folder / "golden/better.keras")


def no_weights(folder):
    (folder / "golden/weights.json").unlink()


CHANGES = {
    second_version: "saved_model/2 is a saved_model file, and no artifact of the manifest",
    program: "verify.sh is executable, and no file of a bundle is",
    second_file: "golden/better.keras is a keras file, and no artifact of the manifest",
    no_weights: "by value, and golden/ has no longer what it needs",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_does_not_belong_to_a_bundle_fails_it(damaged, change):
    folder = damaged("functional_cnn")
    change(folder)
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == FAIL
    assert CHANGES[change] in certificate.problems()[0]


def test_a_signature_that_the_contract_does_not_have_fails(damaged):
    """One leaked a file of the system: it was served, and no row of the certificate looked at it."""
    folder = damaged("functional_cnn")

    model = keras.saving.load_model(folder / "model.keras", compile=False)
    (endpoint,) = infer_contract(model).endpoints
    shutil.rmtree(folder / "saved_model/1")
    save(model, [endpoint, dataclasses.replace(endpoint, name="more")], folder / "saved_model/1")
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == FAIL
    assert "it has a signature 'more', which the contract does not have" in certificate.problems()[0]


def test_the_artifacts_of_a_clean_bundle_are_all_that_it_holds(bundles):
    manifest = json.loads((bundles("functional_cnn").path / "manifest.json").read_text())
    assert len(manifest["artifacts"]) >= 4
    assert verify_bundle(bundles("functional_cnn").path, runtimes=["c_api"]).verdict != FAIL


def test_a_bundle_agrees_with_its_certificate(bundles):
    for name in ("functional_cnn", "masked", "text"):  # with an unsupported HDF5 or TFLite file
        folder = bundles(name).path
        manifest, certificate = (json.loads((folder / n).read_text()) for n in ("manifest.json", "parity.json"))
        assert find_contradiction(manifest, certificate) is None
        assert certificate["request"]["formats"] == ["keras", "hdf5", "weights", "saved_model", "tflite"]


def test_verify_and_publish_find_another_manifest_than_the_proven_one(damaged, tmp_path):
    folder = damaged("functional_cnn")
    manifest = json.loads((folder / "manifest.json").read_text())
    next(a for a in manifest["artifacts"] if a["format"] == "tflite").update(state="unsupported", reason="no operator")
    (folder / "tflite/float32.tflite").unlink()
    reseal(folder, artifacts=manifest["artifacts"])
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == "fail"
    assert certificate.problems()[0].startswith("files: manifest.json says that tflite/float32.tflite is unsupported")
    with pytest.raises(CheckFailed, match="is not what was proven"):
        publish(folder, tmp_path / "m")
