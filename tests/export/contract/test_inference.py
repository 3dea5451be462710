"""Inference of the contract of a model."""

from __future__ import annotations

import numpy as np
import pytest

from export.contract.inference import infer_contract
from export.errors import ExportError
from tests.export.conftest import create


def inferred(name, **options):
    (endpoint,) = infer_contract(create(name)[0], **options).endpoints
    return endpoint


def test_images_with_rescaling_take_pixels():
    endpoint = inferred("sequential_cnn")
    (image,), (output,) = endpoint.inputs, endpoint.outputs
    assert (image.name, image.meaning, image.low, image.high) == ("input", "image", 0, 255)
    assert (output.name, output.meaning, output.shape) == ("output", "probabilities", (None, 3))


def test_names_given_by_the_author_are_kept():
    endpoint = inferred("two_by_two")
    assert [t.name for t in endpoint.inputs + endpoint.outputs] == ["left", "right", "mean", "spread"]
    assert endpoint.structure == "list"
    endpoint = inferred("dictionary")
    assert [t.name for t in endpoint.inputs] == ["age", "pulse"]
    assert {t.name for t in endpoint.outputs} == {"risk", "days"}
    assert endpoint.structure == "dict"


def test_tokens_get_their_range_from_the_embedding():
    (tokens,) = inferred("masked").inputs
    assert (tokens.meaning, tokens.low, tokens.high, tokens.dtype) == ("token", 0, 8, "int32")


def test_subclassed_models():
    assert inferred("subclassed").inputs[0].shape == (None, 10, 10, 1)
    model, _ = create("autoencoder")
    with pytest.raises(ExportError, match="give samples= or contract="):
        infer_contract(model)
    samples = {"image": np.ones((2, 6, 6, 1), "float32"), "noise": np.ones((2, 2), "float32")}
    (endpoint,) = infer_contract(model, samples).endpoints
    assert endpoint.structure == "dict"
    assert {t.name for t in endpoint.outputs} == {"image", "mean"}


def test_an_unbuilt_model_is_refused():
    import keras

    with pytest.raises(ExportError, match="is not built"):
        infer_contract(keras.Sequential([keras.layers.Dense(2)]))


def test_integers_without_a_table_need_samples():
    import keras

    number = keras.Input((3,), dtype="int32", name="number")
    model = keras.Model(number, keras.layers.Flatten()(number))
    with pytest.raises(ExportError, match="give real ones: samples"):
        infer_contract(model)
    (endpoint,) = infer_contract(model, {"number": np.array([[3, 5, 9]])}).endpoints
    assert (endpoint.inputs[0].low, endpoint.inputs[0].high) == (3, 9)


def test_the_smallest_table_counts():
    import keras

    number = keras.Input((3, 2), dtype="int32", name="number")
    tables = [keras.layers.Embedding(size, 2)(number) for size in (9, 5)]
    model = keras.Model(number, keras.layers.Add()(tables))
    assert infer_contract(model).endpoints[0].inputs[0].high == 4
    kind = keras.Input((1,), dtype="int64", name="kind")
    model = keras.Model(kind, keras.layers.CategoryEncoding(6, "one_hot")(kind))
    assert infer_contract(model).endpoints[0].inputs[0].high == 5
