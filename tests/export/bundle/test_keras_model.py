"""A SavedModel as a Keras model answers as the original, within a model of the user, too."""

import keras
import numpy as np
import pytest

import export
from export.parity.cases import read_golden
from tests.export.conftest import create
from zoobase.errors import ExportError


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
    """And the layers above it can be trained."""
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
