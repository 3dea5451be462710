"""A SavedModel in programs of others: by `hub.load`, also to train it further, and as a layer of a Keras model."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from export.artifacts import describe
from export.parity.cases import read_golden
from tests.export.conftest import create
from zoobase.errors import ExportError


@pytest.fixture(scope="module")
def hub():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_hub

        return tensorflow_hub


def test_hub_load_is_exact_and_trainable(bundles, hub):
    path = bundles("functional_cnn").path
    loaded = hub.load(str(path / "saved_model/1"))
    live = keras.saving.load_model(path / "model.keras")
    x = np.random.default_rng(0).uniform(0, 255, (16, 12, 12, 1)).astype("float32")
    np.testing.assert_allclose(loaded(x), live(x, training=False), atol=1e-6)
    assert [v.shape for v in loaded.trainable_variables] == [v.shape for v in live.trainable_variables]
    assert len(loaded.variables) == len(loaded.trainable_variables) + len(loaded.non_trainable_variables)

    labels = np.arange(16) % 4
    optimizer = keras.optimizers.Adam(0.01)
    losses = []
    for _ in range(8):
        with tf.GradientTape() as tape:
            logits = loaded(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, loaded.trainable_variables)
        assert not any(gradient is None for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, loaded.trainable_variables, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert not np.allclose(loaded(x), live(x, training=False), atol=1e-3)  # the served function is trained too


def test_dictionaries_and_lists_are_inputs_as_in_keras(bundles, hub):
    age, pulse = np.ones((3, 1), "float32"), np.ones((3, 4), "float32")
    loaded = hub.load(str(bundles("dictionary").path / "saved_model/1"))
    assert set(loaded({"age": age, "pulse": pulse}, training=True)) == {"risk", "days"}
    loaded = hub.load(str(bundles("two_by_two").path / "saved_model/1"))
    assert len(loaded([np.ones((3, 5), "float32"), np.ones((3, 3), "float32")])) == 2


@pytest.mark.parametrize("name", ["functional_cnn", "two_by_two", "subclassed"])
def test_weights_are_stored_once_and_training_is_no_signature(bundles, name):
    folder = bundles(name).path / "saved_model/1"
    description = describe(folder)
    data = sum(file.stat().st_size for file in folder.glob("variables/*.data*"))
    weights = description.parameters * 4
    assert weights <= data < weights + 20_000  # the rest is the object graph
    assert "serving_default" in [s.name for s in description.signatures]
    assert not any(description.flagged.values())


@pytest.mark.parametrize("name", ["functional_cnn", "two_by_two", "category"])
def test_answers_of_the_original(bundles, name):
    bundle = bundles(name)
    model, endpoint = export.load(bundle.path, as_keras=True), bundle.contract["serving_default"]
    case = read_golden(bundle.path / "golden", bundle.contract)["serving_default"][0]
    inputs = {t.name: keras.ops.convert_to_tensor(case.inputs[t.name], t.dtype) for t in endpoint.inputs}
    for tensor, value in model(inputs).items():
        np.testing.assert_allclose(value, case.outputs[tensor], rtol=1e-4, atol=1e-5)
    assert model.trainable_variables == []


def test_within_another_model(bundles):
    original, _ = create("functional_cnn")
    served = export.load(bundles("functional_cnn").path, as_keras=True)
    image = keras.Input((12, 12, 1))
    model = keras.Model(image, keras.layers.Dense(2, name="head")(served({"image": image})["logits"]))
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 12, 12, 1)), np.zeros((4, 2)), verbose=0)
    assert [variable.path for variable in model.trainable_variables] == ["head/kernel", "head/bias"]
    assert model.count_params() > original.count_params()


def test_errors(bundles):
    with pytest.raises(ExportError, match="'saved_model', not 'tflite'"):
        export.load(bundles("functional_cnn").path, "tflite", as_keras=True)
    with pytest.raises(KeyError, match="no endpoint 'byts'"):
        export.load(bundles("functional_cnn").path, as_keras="byts")
