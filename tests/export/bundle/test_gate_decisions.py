"""Both sides of each decision of the gate, on stored files of which nothing is run, as mutation testing needs."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from export.bundle import gate
from export.proof.certificate import RESERVED
from tests.export.conftest import reseal
from zoobase.errors import CheckFailed

STORED = Path(__file__).parents[2] / "fixtures/bundle"  # two layers of the zoo, as .keras, .h5 and weights


@pytest.fixture
def stored(tmp_path):
    return shutil.copytree(STORED, tmp_path / "bundle")


@pytest.fixture
def pair():
    """Return the manifest and the certificate of the stored bundle, which a test may change."""
    return [json.loads((STORED / name).read_text()) for name in ("manifest.json", "parity.json")]


def change(folder, name, **changes):
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    reseal(folder)


# === A whole bundle that passed ===


def test_a_bundle_that_passed_is_read(stored):
    assert gate.read_proven(stored, "is loaded") == json.loads((stored / "manifest.json").read_text())
    rows = json.loads((stored / "parity.json").read_text())["artifacts"]
    rows[-1]["reservations"] = {"random": ["RandomUniform"]}
    change(stored, "parity.json", verdict=RESERVED, artifacts=rows)
    assert gate.read_proven(stored, "is loaded")["artifacts"]


def test_a_damaged_bundle_is_not_read(stored):
    (stored / "model.h5").write_bytes(b"other")
    with pytest.raises(CheckFailed, match=r"^\S+bundle is damaged \(.*model\.h5.*\); export it again$"):
        gate.read_proven(stored, "is loaded")


@pytest.mark.parametrize("verdict", ["fail", "incomplete"])
def test_a_bundle_that_did_not_pass_is_not_read(stored, verdict):
    change(stored, "parity.json", verdict=verdict)
    with pytest.raises(CheckFailed, match=rf"bundle is {verdict}; only a bundle that passed is loaded$"):
        gate.read_proven(stored, "is loaded")


def test_a_bundle_that_is_not_what_was_proven_is_not_read(stored, pair):
    manifest, _ = pair
    reseal(stored, artifacts=manifest["artifacts"][1:])
    with pytest.raises(CheckFailed, match=r"bundle is not what was proven: .*model\.keras.*; export it again$"):
        gate.read_proven(stored, "is loaded")


def test_the_saved_model_of_a_manifest():
    written = {"format": "saved_model", "state": None, "path": "saved_model/1"}
    assert gate.find_saved_model({"artifacts": [{"format": "keras", "state": None}, written]}) is written
    assert gate.find_saved_model({"artifacts": [written | {"state": "unsupported"}]}) is None
    assert gate.find_saved_model({"artifacts": []}) is None


# === Manifest and certificate ===


def row(artifact, state="pass", **changes):
    return {"artifact": artifact, "format": "tflite", "runtime": "litert", "state": state, "endpoints": []} | changes


@pytest.mark.parametrize(
    "ignored",
    [
        row("live model", format="reference"),
        row("files", format="bundle"),
        row("site/index.html", extra=True),
        row("elsewhere.tflite", "not_run"),
    ],
)
def test_rows_that_are_of_no_artifact(pair, ignored):
    manifest, certificate = pair
    certificate["artifacts"].append(ignored)
    assert gate.find_contradiction(manifest, certificate) is None


def test_a_row_of_an_artifact_that_the_manifest_does_not_list(pair):
    manifest, certificate = pair
    certificate["artifacts"] += [row("lost.tflite", "not_run"), row("lost.tflite")]
    assert gate.find_contradiction(manifest, certificate) == (
        "the certificate has a row for lost.tflite, and manifest.json lists no such artifact"
    )


def test_an_artifact_without_a_row(pair):
    manifest, certificate = pair
    manifest["artifacts"].append(manifest["artifacts"][0] | {"path": "other.keras", "state": "unsupported"})
    assert gate.find_contradiction(manifest, certificate) is None  # it was not written
    manifest["artifacts"][-1]["state"] = None
    assert gate.find_contradiction(manifest, certificate) == (
        "manifest.json lists other.keras, and the certificate has no row for it"
    )


@pytest.mark.parametrize("lost", ["golden/weights.json", "golden/weights.npz"])
def test_weights_that_are_compared_by_value_need_their_golden_files(pair, lost):
    manifest, certificate = pair
    for of_row in certificate["artifacts"]:
        of_row["weights"] = None
    del manifest["files"][lost]
    assert gate.find_contradiction(manifest, certificate) is None
    certificate["artifacts"][-1]["weights"] = {"compared": 1}
    assert gate.find_contradiction(manifest, certificate) == (
        "the certificate compares the weights of model.weights.h5 by value, and golden/ has no longer what it needs"
    )


def test_golden_weights_alone_are_enough(pair):
    manifest, certificate = pair
    certificate["artifacts"][-1]["weights"] = {"compared": 1}
    manifest["files"] = dict.fromkeys(["golden/weights.json", "golden/weights.npz"])
    assert gate.find_contradiction(manifest, certificate) is None


def test_what_was_asked_for_is_listed(pair):
    manifest, certificate = pair
    certificate["request"]["quantize"] = ["int8"]
    assert gate.find_contradiction(manifest, certificate) == (
        "tflite int8 was asked for, and manifest.json lists no such artifact"
    )
    manifest["artifacts"].append(
        {"format": "tflite", "path": "int8.tflite", "quantize": "int8", "state": None, "endpoints": []}
    )
    certificate["artifacts"].append(row("int8.tflite"))
    assert gate.find_contradiction(manifest, certificate) is None
    certificate["request"]["formats"].append("onnx")
    assert gate.find_contradiction(manifest, certificate) == (
        "onnx was asked for, and manifest.json lists no such artifact"
    )


@pytest.mark.parametrize(
    ("stated", "of_rows", "problem"),
    [
        (None, [row("m", "pass")], None),
        (None, [row("m", "fail")], None),  # a file whose run failed was written
        ("fail", [row("m", "fail", runtime=None)], None),
        ("unsupported", [row("m", "unsupported")], None),
        ("unsupported", [row("m", "not_run"), row("m", "unsupported", runtime=None)], None),
        (None, [row("m", "fail", runtime=None)], "present, the certificate that it is a failure"),
        (None, [row("m", "pass", runtime=None), row("m", "fail")], None),
        (None, [row("m", "unsupported")], "present, the certificate that it is unsupported"),
        ("fail", [row("m", "pass")], "a failure, the certificate that it is present"),
        (
            "fail",
            [row("m", "unsupported"), row("m", "fail", runtime=None)],
            "a failure, the certificate that it is uns",
        ),
        ("unsupported", [row("m", "fail", runtime=None)], "unsupported, the certificate that it is a failure"),
    ],
)
def test_states_of_an_artifact_and_of_its_rows(stated, of_rows, problem):
    manifest = {"artifacts": [{"format": "tflite", "path": "m", "state": stated, "endpoints": []}], "files": {}}
    found = gate.find_contradiction(manifest, {"artifacts": of_rows})
    assert found is None if problem is None else f"manifest.json says that m is {problem}" in found


def test_endpoints_of_an_artifact_and_of_its_rows():
    of_rows = [row("m", endpoints=["a", "b"]), row("m", "not_run", endpoints=["c"])]
    manifest = {"artifacts": [{"format": "tflite", "path": "m", "state": None, "endpoints": ["b", "a"]}], "files": {}}
    assert gate.find_contradiction(manifest, {"artifacts": of_rows}) is None
    manifest["artifacts"][0]["endpoints"] = ["b"]
    assert gate.find_contradiction(manifest, {"artifacts": of_rows}) == (
        "the certificate has endpoint a of m, and manifest.json does not"
    )


# === An artifact ===


def test_a_file_of_another_format_than_stated_is_refused(stored, pair):
    keras, hdf5, _ = pair[0]["artifacts"]
    assert gate.refusal(stored, keras, ()) is None
    assert gate.refusal(stored, hdf5, ()) is None
    assert gate.refusal(stored, keras | {"format": "hdf5"}, ()) == (
        "it is of format keras, not hdf5 as manifest.json says"
    )
    (stored / "model.keras").unlink()
    assert gate.refusal(stored, keras, ()).startswith(f"there is no artifact {stored / 'model.keras'}")


# === Code that Keras files need ===


def test_code_is_trusted_by_the_name_of_its_package(tmp_path):
    def refused(*modules, trust=()):
        return gate.code_refusal(tmp_path, {"package": "x", "modules": modules}, trust)

    assert gate.code_refusal(tmp_path, None, ()) is None
    assert gate.code_refusal(tmp_path, {}, ()) is None
    assert refused("zoo.modeling.layers") is None
    assert refused("numpy.linalg", "zoo", trust=["numpy"]) is None
    assert refused("scipy.stats", "numpy.linalg", "numpy", "zoo") == (
        "needs the code of numpy, scipy, which is not trusted; --trust numpy --trust scipy lets it be imported"
    )
    assert refused("no_such_package.x", trust=["no_such_package"]) == (
        "needs the code of no_such_package, which is not installed; install it"
    )


def test_code_is_never_imported_from_the_bundle(tmp_path, monkeypatch):
    package = tmp_path / "bundle" / "code_in_a_bundle"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    dependency = {"package": "x", "modules": ["code_in_a_bundle"]}
    assert gate.code_refusal(package.parent, dependency, ["code_in_a_bundle"]) == (
        "needs the code of code_in_a_bundle, which lies in the bundle itself; it is never imported from there"
    )
    assert gate.code_refusal(tmp_path / "other", dependency, ["code_in_a_bundle"]) is None
