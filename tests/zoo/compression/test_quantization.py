"""Quantization-aware training (QAT): what is rounded and frozen, what an int8 file of it computes, what is refused."""

import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

import zoo
from export import Evaluation, ExportFailed, Quantization, Simulation, export_model, infer_contract
from export.contract import Artifact
from export.formats.saved_model import save
from export.formats.tflite import integer_tensors
from export.proof.certificate import ProofRequest, Row
from export.proof.evaluation import with_simulation
from tests.zoo.conftest import DATA
from zoo import train
from zoo.compression import quantization
from zoo.compression.fake_quant import FreezableNormalization, RoundedWeights
from zoo.compression.quantization import FreezeRanges, quantize, ranges_of, round_weights, simulate
from zoo.core.run_folder import RunFolder
from zoo.training import checkpoints
from zoobase.errors import UsageError

FILE = "tflite/int8.tflite"
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def convolutions(x):
    """Return every kind of operator that TFLite fuses or gives a scale of its own."""
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(layers.Rescaling(1 / 16)(x))
    skip = x = layers.ReLU(name="conv_relu")(layers.BatchNormalization(momentum=0.8, name="conv_norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.ReLU(6.0, name="relu6")(layers.BatchNormalization(momentum=0.8, name="depthwise_norm")(x))
    x = layers.BatchNormalization(momentum=0.8, name="pointwise_norm")(layers.Conv2D(8, 1, name="pointwise")(x))
    x = layers.MaxPooling2D(name="pool")(layers.Add(name="sum")([skip, x]))
    x = layers.Conv2DTranspose(8, 2, strides=2, activation="relu", name="up")(x)
    x = layers.Flatten(name="flat")(layers.Concatenate(name="joined")([x, skip]))
    x = layers.Dense(16, activation="tanh", name="hidden")(layers.Dropout(0.1)(x))
    return layers.Dense(10, name="logits")(x)


@dataclasses.dataclass
class Trained:
    model: keras.Model
    network: keras.Model
    ranges: list
    images: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="module")
def trained():
    """Return a network that was trained on scikit-learn's digits, with the ranges after each epoch."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype("float32")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, convolutions(image), name="digits")
    network, ranges = quantize(model), []
    network.compile(keras.optimizers.Adam(1e-2), LOSS)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ranges.append(ranges_of(network)))
    network.fit(x[:1297], y[:1297], epochs=10, batch_size=64, callbacks=[FreezeRanges(10), watch], verbose=0)
    return Trained(model, network, ranges, x, y)


@pytest.mark.proof
def test_the_weights_are_those_of_the_stock_model(trained):
    assert {id(v) for v in trained.model.trainable_variables} == {id(v) for v in trained.network.trainable_variables}
    kinds = {type(layer).__module__.partition(".")[0] for layer in trained.model.layers}
    assert kinds == {"keras"}
    assert np.mean(trained.network.predict(trained.images[1297:], verbose=0).argmax(-1) == trained.labels[1297:]) > 0.9


@pytest.mark.extended
def test_ranges_follow_the_activations_until_they_are_frozen(trained):
    assert trained.ranges[6] != trained.ranges[7] == trained.ranges[8] == trained.ranges[9]  # of ten epochs
    assert all(part.frozen for part in trained.network.layers if isinstance(part, FreezableNormalization))
    assert all(low <= 0 <= high for low, high in trained.ranges[-1].values())
    assert "conv_relu_range" in trained.ranges[-1]
    assert "up_range" not in trained.ranges[-1]  # that of what it joins


@pytest.mark.extended
def test_rounding_gives_integers_and_does_not_change_the_network(trained):
    before = trained.network.predict(trained.images[:200], verbose=0)
    kernels = [variable.numpy() for variable, _ in quantization._rounded_kernels(trained.network)]
    with quantization.rounded(trained.network):
        np.testing.assert_allclose(trained.network.predict(trained.images[:200], verbose=0), before, atol=1e-5)
        for wrapper in (layer for layer in trained.network.layers if isinstance(layer, RoundedWeights)):
            ((kernel, axes),) = wrapper.kernels()
            assert np.prod([kernel.shape[axis] for axis in axes]) == wrapper.output.shape[-1]  # a scale each channel
            others = tuple(i for i in range(len(kernel.shape)) if i not in axes)
            peaks = np.abs(kernel.numpy()).max(axis=others, keepdims=True)
            integers = kernel.numpy() / peaks * 127
            np.testing.assert_allclose(integers, np.round(integers), atol=1e-3)
            assert np.abs(integers).max() <= 127.001
    for (variable, _), value in zip(quantization._rounded_kernels(trained.network), kernels, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


# === The int8 file ===


@pytest.fixture(scope="module")
def finished(trained):
    """Return the trained network with rounded weights, and what its file is to compute."""
    round_weights(trained.network)
    ranges = ranges_of(trained.network)
    model = simulate(trained.model, ranges)
    before, after = (m.predict(trained.images[:200], verbose=0) for m in (trained.network, model))
    steps = np.abs(before - after) / Simulation(model, None, ranges).parameters()["logits"][0]
    assert 0 < np.mean(steps > 0.5) < 0.2  # the biases are rounded, too
    assert np.mean(before.argmax(-1) == after.argmax(-1)) > 0.98
    return Simulation(model, infer_contract(model, {"image": trained.images[:5]}), ranges)


def convert(simulation, folder):
    """Write the int8 file of a simulation, as `export.runners.jobs.convert_tflite` does in a process of its own."""
    (folder / "tflite").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        save(simulation.model, simulation.contract.endpoints, Path(scratch) / "model", batch=1)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(scratch) / "model"))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        (folder / FILE).write_bytes(converter.convert())
    return folder


def compare(folder, simulation, images):
    name = simulation.contract.endpoints[0].name
    request = ProofRequest(folder, simulation.contract, [Artifact("tflite", FILE, (name,), 1, quantize="int8")], {})
    (row,) = with_simulation(request, [Row(FILE, "tflite", "litert")], simulation, {"image": images})
    return row, row.endpoints[name]["simulation"]["outputs"]


@pytest.fixture(scope="module")
def right(finished, tmp_path_factory):
    return convert(finished, tmp_path_factory.mktemp("right"))


@pytest.mark.extended
def test_the_file_computes_the_integers_of_the_training(right, finished, trained):
    row, outputs = compare(right, finished, trained.images[:300])
    ((_, figure),) = outputs.items()
    assert row.state == "pass", row.reason
    assert (figure["within_one_step"] >= 0.999, figure["equal"] > 0.99, figure["numbers"]) == (True, True, 3000), figure
    results, _ = integer_tensors((right / FILE).read_bytes(), finished.contract.endpoints[0].name)
    assert len(results) >= 11  # every layer but the rescaling


@contextlib.contextmanager
def changed(variable, value):
    before = variable.numpy()
    variable.assign(value)
    yield
    variable.assign(before)


def unfolded(model):
    """Leave batch normalisation out, as a converter that does not fold it: another factor for each channel."""
    return changed(model.get_layer("depthwise_norm").layer.moving_variance, np.full(8, 1.0))


FAULTS = {
    "wrong range": (lambda model: changed(model.get_layer("relu6_range").high, [9.0]), "trained range of relu6_range"),
    "unfolded batch normalisation": (unfolded, "first differs relu6_range"),
    "wrong weights": (
        lambda model: changed(w := model.get_layer("hidden_weights").layer.kernel, w.numpy()[::-1]),
        "first differs hidden_linear",
    ),
}


@pytest.mark.extended
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_of_another_network_fails_and_names_the_layer(fault, finished, trained, tmp_path):
    change, expected = FAULTS[fault]
    with change(finished.model):
        convert(finished, tmp_path)
    row, _ = compare(tmp_path, finished, trained.images[:100])
    assert (row.state, expected in row.reason) == ("fail", True), row.reason


@pytest.mark.extended
def test_a_wrong_zero_point_fails(right, finished, trained, tmp_path):
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs((right / FILE).read_bytes(), 0))
    graph = model.subgraphs[0]
    last = next(op for op in graph.operators if graph.outputs[0] in op.outputs).inputs[0]
    graph.tensors[last].quantization.zeroPoint = graph.tensors[last].quantization.zeroPoint + 3
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "tflite").mkdir()
    (tmp_path / FILE).write_bytes(builder.Output())
    row, _ = compare(tmp_path, finished, trained.images[:100])
    assert row.state == "fail"
    assert "no tensor of the file has the trained range of logits" in row.reason


@pytest.mark.extended
def test_a_bundle_holds_the_file_and_its_comparison(finished, trained, tmp_path):
    evaluation = Evaluation({"image": trained.images[1297:]}, trained.labels[1297:])
    chosen = Quantization(["int8"], evaluation=evaluation, max_drop=0.03, simulation=finished)
    bundle = export_model(trained.model, tmp_path / "bundle", formats=["tflite"], quantization=chosen)
    row = next(row for row in bundle.certificate.rows if row.artifact == FILE)
    assert row.state == "pass"
    figures = row.endpoints["serving_default"]
    assert figures["simulation"]["rows"] == 500
    assert abs(figures["evaluation"]["drop"]) < 0.02
    other = dataclasses.replace(finished, ranges={**finished.ranges, "logits": (-1.0, 1.0)})
    chosen = dataclasses.replace(chosen, simulation=other)
    with pytest.raises(ExportFailed, match="no tensor of the file has the trained range of logits"):
        export_model(trained.model, tmp_path / "other", formats=["tflite"], quantization=chosen)


# === Other layers, and what is refused ===


def test_recurrent_weights_are_rounded_to_four_bits():
    text = keras.Input((6,), dtype="int32", name="text")
    x = layers.Bidirectional(layers.GRU(8), name="reader")(layers.Embedding(20, 8, mask_zero=True)(text))
    model = keras.Model(text, layers.Dense(2, name="logits")(x))
    ids = np.random.default_rng(0).integers(0, 20, (32, 6))
    network = quantize(model, "int4_weights")
    expected = network(ids)
    assert np.abs(expected - model(ids)).max() > 1e-3
    with quantization.rounded(network):
        np.testing.assert_allclose(model(ids), expected, atol=1e-5)
        kernel = model.get_layer("reader").forward_layer.cell.recurrent_kernel.numpy()
        assert max(len(np.unique(column)) for column in kernel.T) <= 15
    assert ranges_of(network) == {}


@pytest.mark.extended
def test_inner_models_and_layers_that_are_called_twice_are_rounded_once():
    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    inner_input = keras.Input((4,), name="x")
    inner = keras.Model(inner_input, layers.Dense(4, activation="relu", name="dense")(inner_input), name="inner")
    shared = layers.Dense(4, name="dense")
    x = layers.Add(name="sum")([shared(inner(one)), shared(inner(other))])
    model = keras.Model([one, other], layers.Dense(1, activation="sigmoid", name="out")(x))
    network = quantize(model)
    rows = [np.eye(4, dtype="float32")] * 2
    network.compile("adam", "mse")
    network.fit(rows, np.ones((4, 1)), epochs=1, verbose=0)
    assert [type(layer).__name__ for layer in network.layers].count("RoundedWeights") == 2
    assert network.get_layer("inner").get_layer("dense_weights").layer is inner.get_layer("dense")
    taken = keras.Model(network.inputs, network.get_layer("sum").output)  # not of the graph of `model`
    assert taken.predict(rows, verbose=0).shape == (4, 4)
    np.testing.assert_array_equal(simulate(model, ranges_of(network)).predict(rows, verbose=0).shape, (4, 1))


class Own(keras.Model):
    def train_step(self, data):
        return {}


def subclassed():
    return zoo.build("fashion_mnist", api="subclassed", filters=(8,), depths=(1,))


def with_own_step():
    x = keras.Input((4,))
    return Own(x, layers.Dense(1)(x), name="own")


def recurrent():
    return keras.Sequential([keras.Input((4, 3)), layers.GRU(4, name="reader"), layers.Dense(1)])


def without_weights():
    return keras.Sequential([keras.Input((4, 3)), layers.Flatten()], name="flat")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (subclassed, "fashion_mnist is a subclass of keras.Model"),
        (with_own_step, "own has a training step of its own"),
        (recurrent, r"reader \(GRU\) cannot be trained for int8: set recipe.qat=int8_weights"),
        (without_weights, "flat has no layer whose weights can be quantised"),
    ],
)
def test_what_cannot_be_trained_is_refused(model, sentence):
    with pytest.raises(UsageError, match=sentence):
        quantize(model())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "mnist", "precision": "bfloat16"}, "not possible with --precision bfloat16"),
        ({"name": "table", "settings": {"model.ensemble": 2}}, "not possible with model.ensemble=2"),
        ({"name": "fashion_mnist", "settings": {"model.flip_tta": True}}, "not possible with model.flip_tta=true"),
        ({"name": "flowers"}, "flowers, which is trained in phases"),
        ({"name": "dcgan"}, "has a training step of its own"),
        ({"name": "mnist", "devices": "0,1"}, "devices"),
    ],
)
def test_settings_that_exclude_it(settings, sentence, tmp_path):
    settings = {"settings": {}, **settings}
    tiny = zoo.get_spec(settings["name"]).tiny_settings()
    given = {**tiny, **settings["settings"], "recipe.qat": "int8", "recipe.limit": 20, "recipe.epochs": 1}
    data = DATA.get(zoo.get_spec(settings["name"]).data)
    options = {**settings, "settings": given, "data_dir": data and str(data), "out": tmp_path / "run", "export": False}
    with pytest.raises(UsageError, match=sentence):
        train.run(**options)


# === Runs ===

RUN = {
    "name": "mnist",
    "data_dir": str(DATA["mnist"]),
    "settings": {
        **{"recipe.qat": "int8", "recipe.epochs": 3, "recipe.ema": 0.9, "model.units": [8]},
        **{"model.dropout": 0.3, "recipe.batch_size": 20},
    },
    "evaluate": False,
    "export": False,
}


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.extended
def test_a_resumed_run_is_bitwise_equal(tmp_path):
    train.run(**RUN, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train.run(**RUN, out=tmp_path / "resumed", callbacks=[Stop()])
    train.run(**RUN, out=tmp_path / "resumed")
    whole, resumed = (RunFolder(tmp_path / name) for name in ("whole", "resumed"))
    assert whole.weights.read_bytes() == resumed.weights.read_bytes()
    assert set(quantization.read_ranges(whole.weights)) == {"dense_0_input", "dense_0_range", "logits"}
    (_, expected), *_ = checkpoints.read(whole.path / "checkpoints")
    (_, actual), *_ = checkpoints.read(resumed.path / "checkpoints")
    assert any("low" in name for name in expected)
    for name in set(expected) - {"state.json"}:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
    assert json.loads(actual["state.json"].tobytes())["epoch"] == 3
