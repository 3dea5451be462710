"""Weights are compared by value, so that a row of a table that no golden input reads is compared, too."""

import shutil

import keras
import numpy as np
import pytest

from export import Contract, Tensor, export_model, verify_bundle
from export.contract.endpoints import tensor_endpoint
from export.formats import FORMATS
from export.protocol import weight_sums
from tests.export.conftest import reseal, row_of
from tests.export.perturb import perturb_h5

ROW = 137  # of the table, beyond the ids of the contract


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a bundle whose contract allows ten of the 200 rows of a table, and its model."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(200, 8)(tokens))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(5, use_bias=False)(x))
    model = keras.Model(tokens, keras.layers.Dense(3)(x))
    endpoint = tensor_endpoint(
        model, [Tensor("tokens", "int32", (None, 6), "token", 0, 9)], [Tensor("output", "float32", (None, 3))]
    )
    folder = tmp_path_factory.mktemp("weights") / "bundle"
    return export_model(model, folder, contract=Contract((endpoint,))), model


def test_every_weight_is_compared(table):
    bundle, _ = table
    for format in ("keras", "hdf5", "weights", "saved_model"):
        assert row_of(bundle.certificate, format=format).weights == {"matched": 8, "of": 8, "unmatched": []}
    row = row_of(bundle.certificate, format="tflite")  # batch normalisation is folded into its neighbours
    assert row.weights["of"] == 8
    assert [name.rpartition("/")[2] for name in row.weights["unmatched"]] == [
        *("kernel", "gamma", "beta", "moving_mean", "moving_variance", "bias")
    ]
    assert "2 of 8 weights compared by value" in (bundle.path / "README.md").read_text()


def test_a_changed_row_that_no_input_reads_is_named(table, tmp_path):
    bundle, model = table
    folder = shutil.copytree(bundle.path, tmp_path / "bundle")
    embedding = model.layers[1]
    original = embedding.get_weights()[0]
    changed = original.copy()
    changed[ROW] = 1.0
    path = folder / "tflite/float32.tflite"
    data = path.read_bytes()
    assert data.count(original[ROW].tobytes()) == 1
    path.write_bytes(data.replace(original[ROW].tobytes(), changed[ROW].tobytes()))
    shutil.rmtree(folder / "saved_model/1/variables")
    (tmp_path / "changed").mkdir()
    embedding.set_weights([changed])
    try:
        for format in ("keras", "hdf5", "weights", "saved_model"):
            FORMATS[format].write(model, bundle.contract, tmp_path / "changed", 1)
    finally:
        embedding.set_weights([original])
    shutil.copytree(tmp_path / "changed", folder, dirs_exist_ok=True)
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["keras", "tensorflow", "litert"])
    for format in ("keras", "hdf5", "weights", "saved_model", "tflite"):
        row = row_of(certificate, format=format)
        assert row.state == "fail", format
        name = model.weights[0].path  # of the table
        assert row.reason == f"weight {name} differs in 1 of 200 rows, the first of which is row {ROW}"


def test_layouts_that_are_no_evidence():
    """Constants that were folded share slices with the original by chance only; equal slices prove nothing."""
    zeros = np.zeros((4, 6), "float32")
    zeros[0] = 1
    entries = []
    for array in (zeros, np.arange(24, dtype="float32").reshape(4, 6)):
        entry = {"name": "w", "merged": False, "dtype": "float32", "shape": array.shape}
        first, last, total = weight_sums.slice_sums(array)
        entries.append(entry | {"sum": f"{total:016x}", "first": first, "last": last})
    assert weight_sums.compare(entries[:1], [("c", zeros * 2)], exact=False)["findings"] == []
    scaled = np.arange(24, dtype="float32").reshape(4, 6) * np.float32(1.1)
    assert weight_sums.compare(entries[1:], [("c", scaled)], exact=False)["findings"] == []


def test_exchanged_equal_arrays_are_counted(tmp_path):
    arrays = [("a", np.zeros(3, "float32")), ("b", np.zeros(3, "float32")), ("step", np.array(7, "int64"))]
    weight_sums.write(tmp_path, arrays)
    expected = weight_sums.read(tmp_path)
    assert weight_sums.compare(expected, arrays, exact=True)["matched"] == 3
    result = weight_sums.compare(expected, [("a", arrays[0][1]), ("b", np.ones(3, "float32")), arrays[2]], exact=True)
    assert (result["unmatched"], result["findings"]) == (["b"], ["weight b has other values or is not there"])


@pytest.mark.extended
def test_factors_of_lora_that_keras_merges_are_compared_merged(tmp_path):
    """A Keras file holds the merged kernel; a SavedModel holds kernel and factors."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8,), name="x")
    layer = keras.layers.Dense(4, name="adapted")
    model = keras.Model(x, keras.layers.Dense(3)(layer(x)))
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(0).standard_normal((2, 4)))
    bundle = export_model(model, tmp_path / "b", formats=("keras", "weights", "saved_model"))
    for row in bundle.certificate.rows:
        assert row.weights is None or row.weights["matched"] == row.weights["of"] == 6, row
    assert verify_bundle(bundle.path).verdict == "pass"
    perturb_h5(bundle.path / "model.keras")
    reseal(bundle.path)
    row = next(row for row in verify_bundle(bundle.path, runtimes=["keras"]).rows if row.format == "keras")
    assert (row.state, row.weights["unmatched"]) == ("fail", ["adapted/kernel"])
