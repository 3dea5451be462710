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


def test_inputs_in_a_dictionary_that_is_not_sorted():
    """`model.inputs` is sorted by key, and the structure is not: each input keeps its own name and range."""
    import keras

    words, segments = (keras.Input((4,), dtype="int32", name=name) for name in ("words", "segments"))
    x = keras.layers.Embedding(200, 4)(words) + keras.layers.Embedding(2, 4)(segments)
    model = keras.Model({"words": words, "segments": segments}, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    (endpoint,) = infer_contract(model).endpoints
    assert {t.name: t.high for t in endpoint.inputs} == {"words": 199, "segments": 1}


def test_tables_of_a_subclassed_model_are_told_apart_by_the_samples():
    import keras

    class Both(keras.Model):
        def __init__(self):
            super().__init__()
            self.words, self.segments = keras.layers.Embedding(200, 4), keras.layers.Embedding(2, 4)

        def call(self, inputs, training=False):
            return self.words(inputs["words"]) + self.segments(inputs["segments"])

    model = Both()
    samples = {"words": np.array([[150, 3]], "int32"), "segments": np.array([[1, 0]], "int32")}
    model(samples)
    (endpoint,) = infer_contract(model, samples).endpoints
    assert {t.name: t.high for t in endpoint.inputs} == {"words": 199, "segments": 1}


def test_numbers_have_the_range_of_their_normalisation():
    import keras

    number = keras.Input((2,), name="number")
    layer = keras.layers.Normalization(mean=[30_000.0, 20_000.0], variance=[100.0**2, 100.0**2])
    (endpoint,) = infer_contract(keras.Model(number, layer(number))).endpoints
    assert (endpoint.inputs[0].low, endpoint.inputs[0].high) == pytest.approx((19_700, 30_300))
