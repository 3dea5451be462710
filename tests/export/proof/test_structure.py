"""What no example finds in a SavedModel, its structure shows: conditions, states, clocks, dice, other constants."""

import dataclasses
import re
import shutil

import keras
import numpy as np
import pytest

from export import export_model, infer_contract, verify_bundle
from export.artifacts.whole_file import READERS, first_difference
from export.formats.saved_model import save
from export.proof.certificate import FAIL, PASS
from export.proof.structure import NO_KERAS_FILE
from tests.export.conftest import reseal
from tests.export.faults import CALLS, OUTPUTS, changed_call
from tests.plugins.tiers import first


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


@pytest.mark.parametrize("fault", first(FAULTS))
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


@pytest.mark.extended
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
    assert re.search(r"its variable conv2d\w*/kernel has another value", row.reason)


@pytest.mark.extended
def test_it_is_said_what_was_not_compared(bundle, tmp_path):
    folder = shutil.copytree(bundle[0].path, tmp_path / "bundle")
    only = export_model(bundle[1], tmp_path / "only", formats=("saved_model",))
    (row,) = (row for row in verify_bundle(only.path).rows if row.runtime == "structure")
    assert (row.state, row.reason) == ("not_run", f"it was not compared whole: {NO_KERAS_FILE}")
    assert verify_bundle(folder, runtimes=["c_api"]).rows[-1].runtime != "structure"


@pytest.mark.extended
@pytest.mark.parametrize("swapped", [True, False])
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


def test_numbers_of_names_that_keras_gives_are_not_compared(tmp_path):
    """They count the layers of the process: here of the lookup that a TextVectorization makes."""
    files = []
    for name in ("one", "two"):
        words = keras.layers.TextVectorization(vocabulary=["a"], name="words")
        model = keras.Sequential([keras.Input((1,), dtype="string", name="text"), words], name="model")
        files.append(tmp_path / f"{name}.keras")
        model.save(files[-1])
    assert first_difference(*(READERS["keras"](file).whole for file in files)) is None
