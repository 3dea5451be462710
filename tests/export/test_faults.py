"""Injected faults: each makes the verdict fail and is named in the certificate, as the table in the docs says."""

import json
import re

import h5py
import numpy as np
import pytest
import tensorflow as tf

from export import ExportFailed, export_model, verify_bundle
from export.bundle.layout import find_damage
from export.contract import Contract, Endpoint, Tensor
from export.proof.structure import RUNTIME, WHOLE
from tests.export import faults
from tests.export.conftest import create, reseal
from tests.export.perturb import perturb_bytes, perturb_h5


def reason_of(certificate, format):
    return next(row.reason for row in certificate.rows if row.format == format)


def test_one_weight_off_by_a_thousandth_fails_every_artifact(damaged, bundles):
    folder = damaged("functional_cnn")
    with h5py.File(folder / "model.weights.h5") as file:
        kernel = file["layers/conv2d/vars/0"][...] if "layers/conv2d" in file else file["layers/conv/vars/0"][...]
        head = file["layers/dense/vars/0"][...] if "layers/dense" in file else file["layers/logits/vars/0"][...]
    for name in ("model.h5", "model.weights.h5", "model.keras"):
        perturb_h5(folder / name)
    perturb_bytes(next(folder.glob("saved_model/1/variables/*.data*")), kernel)
    perturb_bytes(folder / "tflite/float32.tflite", np.ascontiguousarray(head.T))
    reseal(folder)
    certificate = verify_bundle(folder)
    states = {
        row.format: row.state for row in certificate.rows if not row.extra and row.runtime not in (RUNTIME, WHOLE)
    }
    assert next(row for row in certificate.rows if row.runtime == "structure").decides  # it cannot be loaded
    # TensorFlow stores checksums of its variables and reports the damage before the comparison
    assert states == {"bundle": "pass"} | dict.fromkeys(("keras", "hdf5", "weights", "saved_model", "tflite"), "fail")
    assert certificate.verdict == "fail"
    assert certificate.exit_code == 1
    for format in ("keras", "hdf5", "weights", "tflite"):
        # the weight may meet a zero in every row of the smaller case
        assert re.search(r"logits in case batch_\d+ differs by", reason_of(certificate, format)), format


def test_any_flipped_byte_in_any_file_is_found(damaged):
    folder = damaged("functional_cnn")
    assert find_damage(folder) == []
    rng = np.random.default_rng(0)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for position in {0, len(whole) - 1, *rng.integers(0, len(whole), 3).tolist()}:
            broken = bytearray(whole)
            broken[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(broken)
            assert find_damage(folder), f"{path.name} byte {position}"
        path.write_bytes(whole)
    assert find_damage(folder) == []


def test_added_removed_and_damaged_files_are_named(damaged):
    folder = damaged("functional_cnn")
    (folder / "saved_model/1/assets.extra/more").write_bytes(b"stale")
    certificate = verify_bundle(folder)
    assert certificate.verdict == "fail"
    assert "assets.extra/more was added" in certificate.problems()[0]
    (folder / "saved_model/1/assets.extra/more").unlink()
    (folder / "labels.txt").unlink()
    assert find_damage(folder) == ["labels.txt is missing"]


def test_swapped_labels(damaged):
    folder = damaged("functional_cnn")
    (folder / "labels.txt").write_text("bee\nant\ncat\ndog\n")
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["litert"])
    assert certificate.verdict == "fail"
    assert (
        "labels.txt has 'bee' in line 1 where manifest, contract and certificate give 'ant'"
        in certificate.problems()[0]
    )


@pytest.mark.parametrize(
    ("file", "runtime"),
    [("model.keras", "keras"), ("saved_model/1/saved_model.pb", "tensorflow"), ("tflite/float32.tflite", "litert")],
)
def test_truncated_files(damaged, file, runtime):
    folder = damaged("functional_cnn")
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) // 2])
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=[runtime])
    assert certificate.verdict == "fail"
    assert file.startswith(next(row.artifact for row in certificate.rows[1:] if row.state == "fail"))


def test_live_augmentation_in_the_model(tmp_path):
    model, contract = create("functional_cnn", augment=True)
    plain = contract["serving_default"]
    call = lambda x: {"logits": model(x["image"], training=True)}  # noqa: E731
    live = Endpoint(plain.name, plain.inputs, plain.outputs, call, ("saved_model",))
    with pytest.raises(ExportFailed) as failure:
        export_model(model, tmp_path / "b", contract=Contract((live,)), formats=("saved_model",))
    assert "two identical calls differ" in " ".join(failure.value.certificate.problems())


def test_a_dependency_that_the_manifest_omits(damaged):
    folder = damaged("built")
    reseal(folder, code_dependency=None)
    certificate = verify_bundle(folder, runtimes=["keras"])
    assert certificate.verdict == "fail"
    assert "Could not locate class 'Built'" in reason_of(certificate, "keras")


def test_constant_numbers_fail_and_constant_integers_are_noted(tmp_path):
    """Two constants that agree prove nothing; an integer or a string, such as a version, may be constant."""
    model, _ = create("two_by_two")
    model.set_weights([weight * 0 for weight in model.get_weights()])
    with pytest.raises(ExportFailed, match="mean of serving_default is the same for every input") as failure:
        export_model(model, tmp_path / "b", formats=("tflite",))
    assert verify_bundle(failure.value.bundle_path).rows[0].reason.startswith("mean of serving_default is the same")

    model, contract = create("functional_cnn")
    plain = contract["serving_default"]
    call = lambda x: plain.call(x) | {"version": tf.ones_like(x["image"][:, 0, 0, 0], "int32")}  # noqa: E731
    outputs = (*plain.outputs, Tensor("version", "int32", (None,)))
    versioned = Endpoint("serving_default", plain.inputs, outputs, call, ("saved_model",))
    bundle = export_model(model, tmp_path / "c", contract=Contract((versioned,)), formats=("saved_model",))
    note = "version of serving_default is the same for every input"
    assert note in bundle.certificate.rows[0].note
    assert note in verify_bundle(bundle.path, runtimes=["tensorflow"]).rows[0].note
    assert note in (bundle.path / "README.md").read_text()


def test_a_call_that_returns_other_names(tmp_path):
    model, contract = create("functional_cnn")
    plain = contract["serving_default"]
    wrong = Endpoint(plain.name, plain.inputs, plain.outputs, lambda x: {"output_0": model(x["image"])})
    with pytest.raises(ExportFailed, match="returns output_0 where the contract declares logits"):
        export_model(model, tmp_path / "b", contract=Contract((wrong,)), formats=("saved_model",))


@pytest.mark.extended
def test_live_augmentation_in_the_artifact(with_saved_model):
    """`model.export()` of Keras serves live augmentation."""
    folder = with_saved_model("sequential_cnn", lambda model, x: {"output": model(x["input"], training=True)})
    certificate = verify_bundle(folder, runtimes=["tensorflow"])
    assert certificate.verdict == "fail"
    assert "endpoint serving_default: two identical calls differ" in reason_of(certificate, "saved_model")


def test_an_artifact_has_no_say_in_its_tolerance(with_saved_model):
    """The SavedModel is ill-conditioned: what it answers to perturbed inputs must not excuse its own differences."""

    def call(model, x):
        noise = 4e-5 * tf.sin(1e9 * tf.reduce_sum(x["image"], [1, 2, 3]))[:, None]
        return {"logits": model(x["image"], training=False) + noise}

    certificate = verify_bundle(with_saved_model("functional_cnn", call), runtimes=["tensorflow"])
    row = next(row for row in certificate.rows if row.runtime == "tensorflow")
    assert max(v["logits"] for v in row.endpoints["serving_default"]["noise"].values()) > 1e-5
    assert "(tolerance 1e-05)" in row.reason
    assert certificate.verdict == "fail"


def test_a_batch_dependent_model_fails_and_its_bundle_says_so(tmp_path):
    model, _ = create("batch_dependent")
    with pytest.raises(ExportFailed, match="outputs depend on the batch") as failure:
        export_model(model, tmp_path / "b", formats=("saved_model",))
    # the difference between batches must not widen its own tolerance; the remaining noise is that of perturbed inputs
    assert failure.value.certificate.noise_floor["serving_default"]["output"] < 1e-5
    folder = failure.value.bundle_path
    assert json.loads((folder / "parity.json").read_text())["verdict"] == "fail"
    assert "Proof: fail" in (folder / "README.md").read_text()
    assert find_damage(folder) == []


def test_a_runtime_that_ends_too_late_or_has_no_artifact_is_incomplete(bundles, monkeypatch):
    bundle = bundles("two_by_two").path  # made without the limit, if no other test has
    absent = verify_bundle(bundle, runtimes=["litert"], require=["onnx"])
    assert "required, but nothing in this bundle" in absent.problems()[0]
    monkeypatch.setenv("EXPORT_TIMEOUT", "0.05")
    late = verify_bundle(bundle, runtimes=["litert"])
    assert "stopped after 0.05 s" in reason_of(late, "tflite")
    assert [(c.verdict, c.exit_code) for c in (absent, late)] == [("incomplete", 3)] * 2


@pytest.mark.proof
def test_the_table_of_faults_is_true(tmp_path):
    outcomes = list(faults.run(tmp_path))
    assert faults.page(outcomes) == faults.PAGE.read_text(), "run `python -m tests.export.faults`"
    assert len(outcomes) > 60
    assert not [outcome for outcome in outcomes[1:] if outcome.by == ("nothing",)]
