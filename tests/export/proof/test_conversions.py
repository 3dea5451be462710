"""Files are compared whole, field by field, with what the converter or Keras writes again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from export import Quantization, export_model, verify_bundle
from export.artifacts.whole_file import READERS, first_difference
from export.bundle.layout import read_manifest
from export.formats import hdf5, keras, onnx, tflite, weights
from export.proof.certificate import FAIL, INCOMPLETE, PASS
from export.proof.structure import WHOLE
from tests.export.conftest import create, reseal, row_of
from tests.export.proof.conversion_faults import ONNX, TFLITE, change_onnx, change_tflite
from tests.export.proof.keras_faults import CONFIGS, HDF5, KERAS, change_config
from tests.plugins import needs

FORMATS = ("keras", "hdf5", "weights", "tflite", *(() if needs.missing("onnx") else ("onnx",)))
TFLITE_FILE, ONNX_FILE = "tflite/float32.tflite", "onnx/model.onnx"
CALIBRATED = {"int8", "16x8"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return the bundle of a small network in every form that a converter writes, and its contract."""
    model, contract = create("functional_cnn")
    pixels = np.random.default_rng(0).uniform(0, 255, (100, 12, 12, 1)).astype("float32")
    quantization = Quantization(needs.quantizations(), {"image": pixels})
    path = tmp_path_factory.mktemp("converted") / "bundle"
    export_model(model, path, contract=contract, formats=FORMATS, quantization=quantization)
    return path, contract


@pytest.fixture
def copy(bundle, tmp_path):
    return Path(shutil.copytree(bundle[0], tmp_path / "copy"))


def verified(folder):
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["litert", "onnxruntime"], deep=True)
    return certificate.verdict, {row.artifact: row for row in certificate.rows if row.runtime == WHOLE}


@pytest.mark.extended
def test_every_form_of_a_right_bundle_is_written_again(copy):
    _, rows = verified(copy)
    for name in CALIBRATED & {*needs.quantizations()}:
        assert "ranges of activations not compared" in rows[f"tflite/{name}.tflite"].note
    if "qdq" in needs.quantizations():
        assert "qdq ranges come from calibration data" in rows.pop("onnx/qdq.onnx").reason
    assert {TFLITE_FILE, "tflite/float16.tflite", "tflite/dynamic.tflite"} <= rows.keys()
    assert {row.state for row in rows.values()} == {PASS}


def differing(of_format, one, other, **options):
    read = READERS[of_format.FORMAT.name]
    return first_difference(read(one, **options).whole, read(other, **options).whole)


@pytest.mark.parametrize("name", TFLITE)
def test_faults_of_tflite_files_are_named(copy, bundle, name):
    path, _ = bundle
    change_tflite(copy / TFLITE_FILE, lambda model, schema: None)  # as a rewritten file is, without a fault
    assert differing(tflite, path / TFLITE_FILE, copy / TFLITE_FILE) is None
    change_tflite(shutil.copy(path / TFLITE_FILE, copy / "other.tflite"), TFLITE[name][1])
    assert differing(tflite, path / TFLITE_FILE, copy / "other.tflite")


@pytest.mark.needs("onnx")
@pytest.mark.parametrize("name", ONNX)
def test_faults_of_onnx_files_are_named(copy, bundle, name):
    change_onnx(copy / ONNX_FILE, ONNX[name][1])
    assert differing(onnx, bundle[0] / ONNX_FILE, copy / ONNX_FILE)


KERAS_FILES = {"model.keras": keras, "model.h5": hdf5, "model.weights.h5": weights}


@pytest.mark.parametrize("name", CONFIGS)
def test_another_configuration_of_any_keras_file_is_named(copy, bundle, name):
    for file, of_format in KERAS_FILES.items():
        change_config(copy / file, CONFIGS[name])
        assert differing(of_format, bundle[0] / file, copy / file)


@pytest.mark.parametrize("file", KERAS_FILES)
def test_whatever_else_is_in_a_keras_file_is_named(copy, bundle, file):
    for name, change in (KERAS if file == "model.keras" else HDF5).items():
        shutil.copy(bundle[0] / file, copy / file)
        assert differing(KERAS_FILES[file], bundle[0] / file, copy / file) is None
        change(copy / file)
        assert differing(KERAS_FILES[file], bundle[0] / file, copy / file), name


def test_a_keras_file_that_the_model_does_not_write_fails(copy):
    for file, name in (("model.h5", "ReLU clipped at 1000"), ("model.weights.h5", "a dropout of 1e-6")):
        change_config(copy / file, CONFIGS[name])
    KERAS["a script among the assets"](copy / "model.keras")
    verdict, rows = verified(copy)
    assert verdict == FAIL
    assert "max_value is 1000.0 where the model gives None" in rows["model.h5"].reason
    assert "rate is 1e-06 where the model gives" in rows["model.weights.h5"].reason
    assert "evil.sh" in rows["model.keras"].reason


def test_a_file_that_another_consumer_reads_otherwise_fails(copy, bundle):
    """The signature stays the same; what `Interpreter.invoke()` runs does not."""
    change_tflite(copy / TFLITE_FILE, TFLITE["another primary subgraph"][1], bundle[1])
    if "onnx" in FORMATS:
        change_onnx(copy / ONNX_FILE, ONNX["clipped at 1000"][1])
    verdict, rows = verified(copy)
    assert verdict == FAIL
    certificate = verify_bundle(copy, runtimes=["litert"])
    assert "Interpreter.invoke() runs, is that of no signature" in row_of(certificate, artifact=TFLITE_FILE).reason
    if "onnx" in FORMATS:
        assert "where the model gives 'logits'" in rows[ONNX_FILE].reason


@pytest.mark.needs("onnx")
def test_values_outside_an_onnx_file_are_refused(copy):
    change_onnx(copy / ONNX_FILE, ONNX["values in a file of the bundle"][1])
    reseal(copy)
    certificate = verify_bundle(copy, runtimes=["litert"])
    assert certificate.verdict == FAIL
    assert "is in external files" in row_of(certificate, artifact=ONNX_FILE).reason


def test_biases_of_integer_files_are_compared_within_their_step(copy, bundle):
    """Their scales are those of activations, which depend on the data of a calibration."""
    path, name = bundle[0], "tflite/int8.tflite"

    def shift(steps):
        def change(model, schema):
            tensor = next(
                t
                for t in model.subgraphs[0].tensors
                if t.type == schema.TensorType.INT32 and t.quantization.scale is not None
            )
            values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int32) + np.int32(steps)
            model.buffers[tensor.buffer].data = values.view(np.uint8)

        return change

    for steps, expected in ((0, None), (1, None), (3, "has other values")):
        change_tflite(shutil.copy(path / name, copy / "other.tflite"), shift(steps))
        found = differing(tflite, path / name, copy / "other.tflite", has_ranges=True)
        assert found is None if expected is None else expected in found


def test_what_cannot_be_written_again_is_incomplete(copy):
    """A converter of another release, a file without the Keras file, and a proof that was asked to leave it out."""
    artifacts = read_manifest(copy)["artifacts"]
    for artifact in artifacts:
        artifact["producer"] |= {"tensorflow": "1.0"} if artifact["format"] == "tflite" else {}
    reseal(copy, artifacts=artifacts)
    verdict, rows = verified(copy)
    assert (verdict, rows[TFLITE_FILE].state) == (INCOMPLETE, "not_run")
    assert rows[TFLITE_FILE].reason.endswith("it was written by tensorflow 1.0, which is not installed")
    shallow = verify_bundle(copy, runtimes=["litert"], deep=False)
    assert (shallow.verdict, "as was asked for" in shallow.problems()[0]) == (INCOMPLETE, True)
    assert verify_bundle(copy, runtimes=["litert"]).verdict == PASS


@pytest.mark.extended
def test_a_file_without_the_keras_file_is_incomplete(tmp_path):
    model, _ = create("two_by_two")
    folder = export_model(model, tmp_path / "b", formats=("tflite",)).path
    certificate = verify_bundle(folder)
    assert (certificate.verdict, "no Keras file" in certificate.problems()[0]) == (INCOMPLETE, True)
