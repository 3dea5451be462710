"""What no example finds in a SavedModel, its structure shows: conditions, states, clocks, dice, other constants."""

import dataclasses
import re
import shutil

import keras
import numpy as np
import pytest

from export import Quantization, export_model, infer_contract, verify_bundle
from export.bundle.layout import read_manifest
from export.formats import QUANTIZATIONS, format_of
from export.formats.saved_model import save
from export.proof.certificate import FAIL, PASS
from tests.export.conftest import reseal
from tests.export.faults import CALLS, OUTPUTS, changed_call, with_call
from tests.plugins import needs

ONNX = () if needs.missing("onnx") else ("onnx",)


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(
        image, keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x)), name="net"
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A clean bundle, and the model and the contract that made it."""
    model = network()
    contract = infer_contract(model)
    path = tmp_path_factory.mktemp("structure") / "bundle"
    return export_model(model, path, formats=("keras", "saved_model"), contract=contract), model, contract


FAULTS = {
    "one pixel value": "Equal",
    "a branch of tf.cond": "StatelessIf",
    "dice, once in 1e9 calls": "RandomUniform",
    "a counter after a million calls": "AssignAddVariableOp",
    "a counter without effect": "AssignAddVariableOp",
    "a loop in large batches": "StatelessWhile",
    "scaled by 1 + 2e-7": "Cast",
}


def with_saved_model(bundle, tmp_path, call, model=None):
    """Return a copy of the bundle whose SavedModel has another call, sealed again."""
    original, clean, contract = bundle
    folder = shutil.copytree(original.path, tmp_path / "bundle")
    target = folder / "saved_model/1"
    shutil.rmtree(target)
    (endpoint,) = contract.endpoints
    save(model or clean, [dataclasses.replace(endpoint, call=call)], target, reusable=True)
    reseal(folder)
    return folder


def states(certificate):
    return {row.runtime: row.state for row in certificate.rows if row.format == "saved_model"}


def test_a_clean_bundle_passes(bundle):
    certificate = verify_bundle(bundle[0].path)
    assert certificate.verdict == PASS
    assert states(certificate)["structure"] == PASS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_no_example_finds_is_named(bundle, tmp_path, fault):
    _, model, contract = bundle

    if "counter" in fault:
        model.calls = CALLS  # tracked, so that it is saved
    call = changed_call(contract, OUTPUTS[fault])
    certificate = verify_bundle(with_saved_model(bundle, tmp_path, call))
    (row,) = (row for row in certificate.rows if row.runtime == "structure")
    assert (certificate.verdict, row.state) == (FAIL, FAIL)
    assert re.search(rf"serving_default, function \d+: it also has .*{FAULTS[fault]}", row.reason)
    assert states(certificate)["tensorflow"] == PASS, "an example finds it, too"


def test_another_value_is_named(bundle, tmp_path):
    """A weight that is off by less than the tolerance, which neither examples nor sums need to find."""
    _, model, _ = bundle
    other = network()
    other.set_weights(model.get_weights())
    kernel = other.layers[1].kernel
    kernel.assign(kernel * np.float32(1 + 2e-7))
    (endpoint,) = infer_contract(other).endpoints
    certificate = verify_bundle(with_saved_model(bundle, tmp_path, endpoint.call, other))
    (row,) = (row for row in certificate.rows if row.runtime == "structure")
    assert "its variable conv2d/kernel has another value" in row.reason


def test_it_is_said_what_was_not_compared(bundle, tmp_path):
    folder = shutil.copytree(bundle[0].path, tmp_path / "bundle")
    only = export_model(bundle[1], tmp_path / "only", formats=("saved_model",))
    (row,) = (row for row in verify_bundle(only.path).rows if row.runtime == "structure")
    assert (row.state, row.reason) == ("not_run", "there is no Keras file to compare it with")
    assert verify_bundle(folder, runtimes=["c_api"]).rows[-1].runtime != "structure"


@pytest.mark.parametrize("swapped", [False, True])
def test_inputs_of_one_shape_are_distinguished(tmp_path, swapped):
    """Their order in a signature is that of their names, whatever that of the model."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((4,), name=name) for name in ("b_x", "x", "a")]
    x = keras.layers.Subtract()([inputs[0], keras.layers.Multiply()(inputs[1:])])
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    contract = infer_contract(model)
    made = export_model(model, tmp_path / "made", formats=("keras", "saved_model"), contract=contract), model, contract

    def call(values):
        return contract.endpoints[0].call(values | ({"x": values["b_x"], "b_x": values["x"]} if swapped else {}))

    (row,) = (r for r in verify_bundle(with_saved_model(made, tmp_path, call)).rows if r.runtime == "structure")
    assert row.state == (FAIL if swapped else PASS), row.reason


@pytest.fixture(scope="module")
def converted(bundle, tmp_path_factory):
    _, model, contract = bundle
    path = tmp_path_factory.mktemp("converted") / "bundle"
    quantization = Quantization(needs.quantizations(), {"image": pictures(100)})
    formats = ("keras", "tflite", *ONNX)
    return export_model(model, path, formats=formats, contract=contract, quantization=quantization)


def pictures(count):
    return np.random.default_rng(0).uniform(0, 255, (count, 8, 8, 3)).astype("float32")


def deep_rows(folder):
    certificate = verify_bundle(folder, runtimes=["litert", "onnxruntime"], deep=True)
    return {row.artifact: row for row in certificate.rows if row.runtime == "structure"}


def test_conversions_of_a_clean_bundle_have_the_graphs_of_another_conversion(converted):
    rows = deep_rows(converted.path)
    for name in needs.quantizations():
        if QUANTIZATIONS[name].is_calibrated:
            format = format_of(name)
            row = rows.pop(f"{format.name}/{name}{format.extension}")
            assert "calibration data, which the bundle does not hold" in row.reason
    assert {"tflite/float32.tflite", "tflite/float16.tflite", "tflite/dynamic.tflite"} <= rows.keys()
    assert {row.state for row in rows.values()} == {PASS}


def test_another_graph_of_a_conversion_is_named(converted, bundle, tmp_path):
    _, clean, contract = bundle
    triggered = with_call(contract, changed_call(contract, OUTPUTS["one pixel value"]))
    tampered = export_model(clean, tmp_path / "tampered", contract=triggered, formats=("tflite", *ONNX))
    folder = shutil.copytree(converted.path, tmp_path / "bundle")
    for path in ("tflite/float32.tflite", *(["onnx/model.onnx"] if ONNX else [])):
        shutil.copyfile(tampered.path / path, folder / path)
    reseal(folder)
    rows = deep_rows(folder)
    assert rows["tflite/float16.tflite"].state == PASS
    assert "it has SELECT" in rows["tflite/float32.tflite"].reason
    if ONNX:
        assert "where the model has MatMul" in rows["onnx/model.onnx"].reason


def test_a_file_of_another_converter_is_not_compared(converted, tmp_path):
    folder = shutil.copytree(converted.path, tmp_path / "bundle")
    artifacts = read_manifest(folder)["artifacts"]
    for artifact in artifacts:
        artifact["producer"] |= {"tensorflow": "1.0"} if artifact["format"] == "tflite" else {}
    reseal(folder, artifacts=artifacts)
    row = deep_rows(folder)["tflite/float32.tflite"]
    assert (row.state, row.reason) == ("not_run", "it was converted by tensorflow 1.0, which is not installed")
