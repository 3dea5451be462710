"""Inference of the contract of a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from export.contract import Tensor
from export.contract.inference import infer_contract
from export.contract.sampling import sample_values
from tests.export.conftest import create
from zoobase.errors import ExportError


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
    with pytest.raises(ExportError, match="is not built"):
        infer_contract(keras.Sequential([keras.layers.Dense(2)]))


def test_integers_without_a_table_need_samples():
    number = keras.Input((3,), dtype="int32", name="number")
    model = keras.Model(number, keras.layers.Flatten()(number))
    with pytest.raises(ExportError, match="give real ones: samples"):
        infer_contract(model)
    (endpoint,) = infer_contract(model, {"number": np.array([[3, 5, 9]])}).endpoints
    assert (endpoint.inputs[0].low, endpoint.inputs[0].high) == (3, 9)


def test_the_smallest_table_counts():
    number = keras.Input((3, 2), dtype="int32", name="number")
    tables = [keras.layers.Embedding(size, 2)(number) for size in (9, 5)]
    model = keras.Model(number, keras.layers.Add()(tables))
    assert infer_contract(model).endpoints[0].inputs[0].high == 4
    kind = keras.Input((1,), dtype="int64", name="kind")
    model = keras.Model(kind, keras.layers.CategoryEncoding(6, "one_hot")(kind))
    assert infer_contract(model).endpoints[0].inputs[0].high == 5


def test_inputs_in_a_dictionary_that_is_not_sorted():
    """`model.inputs` is sorted by key, and the structure is not: each input keeps its own name and range."""
    words, segments = (keras.Input((4,), dtype="int32", name=name) for name in ("words", "segments"))
    x = keras.layers.Embedding(200, 4)(words) + keras.layers.Embedding(2, 4)(segments)
    model = keras.Model({"words": words, "segments": segments}, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    (endpoint,) = infer_contract(model).endpoints
    assert {t.name: t.high for t in endpoint.inputs} == {"words": 199, "segments": 1}


def test_tables_of_a_subclassed_model_are_told_apart_by_the_samples():
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


def input_of(*args):
    """Return the inferred inputs of a functional model by name."""
    return {t.name: t for t in infer_contract(keras.Model(*args)).endpoints[0].inputs}


def test_numbers_have_the_range_of_their_normalisation():
    left, right = keras.Input((2,), name="left"), keras.Input((1,), name="right")
    layer = layers.Normalization(mean=[30_000.0, 0.0, 5.0], variance=[1e4, 1.0, 4.0])
    inputs = input_of([left, right], layer(layers.Concatenate()([left, right])))
    assert np.allclose([inputs["left"].low, inputs["left"].high], [[29_700, -3], [30_300, 3]])
    assert (inputs["right"].low, inputs["right"].high) == (-1, 11)
    edges = layers.Discretization(bin_boundaries=[0.0, 500.0])
    assert (input_of(right, edges(right))["right"].low, input_of(right, edges(right))["right"].high) == (-125, 625)


def test_ids_keep_their_own_tables_through_slices_wrappers_and_nested_models():
    ids = keras.Input((3,), dtype="int32", name="ids")
    columns = [layers.Embedding(size, 2)(ids[:, i]) for i, size in enumerate((5, 100, 7))]
    assert input_of(ids, layers.Concatenate()(columns))["ids"].high == (4, 99, 6)
    words = keras.Input((6,))
    inner = keras.Model(words, layers.Embedding(33, 3)(words))
    lines = keras.Input((4, 6), dtype="int64", name="lines")
    assert input_of(lines, layers.TimeDistributed(inner)(lines))["lines"].high == 32
    reversible = layers.ReversibleEmbedding(44, 5)
    assert input_of(lines, reversible(reversible(lines), reverse=True))["lines"].high == 43


def test_values_of_a_lookup_are_its_vocabulary_and_one_that_it_does_not_know():
    kind = keras.Input((1,), dtype="int64", name="kind")
    (tensor,) = input_of(kind, layers.IntegerLookup(vocabulary=[777, 1_000_001, -5])(kind)).values()
    assert (tensor.meaning, tensor.vocabulary) == ("category", (-1, 777, 1_000_001, -5, 1_012_346))
    line = keras.Input((1,), dtype="string", name="line")
    words = layers.TextVectorization(vocabulary=["alpha", "beta"], output_sequence_length=5)
    (tensor,) = input_of(line, words(line)).values()
    assert (tensor.meaning, tensor.vocabulary) == ("text", ("", "[UNK]", "alpha", "beta"))
    (tensor,) = input_of(line, layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(line)).values()
    assert tensor.vocabulary == ("a",)
    assert Tensor.from_json(tensor.to_json()) == tensor


def test_pixels_have_the_range_that_their_rescaling_expects():
    image = keras.Input((8, 8, 3), name="image")

    def limits(x):
        tensor = input_of(image, layers.Conv2D(2, 3)(x))["image"]
        return tensor.low, tensor.high, tensor.ranges

    assert limits(layers.Rescaling(1 / 127.5, -1)(image)) == (0, 255, None)
    assert limits(layers.Rescaling(127.5, 127.5)(image)) == (-1, 1, None)
    assert limits(layers.Rescaling(255.0)(layers.Resizing(16, 16)(image))) == (0, 1, None)
    assert limits(layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3)(image)) == (0, 1, None)
    # of dark and of bright photographs, whose standard deviation is small: three of them around the mean leave 0..255
    assert limits(layers.Normalization(mean=[157.8] * 3, variance=[48.0**2] * 3)(image)) == (0, 255, None)
    assert limits(layers.Normalization(mean=[40.0] * 3, variance=[5.0**2] * 3)(image)) == (0, 255, None)
    assert limits(image) == (-1, 255, ((0, 255), (0, 1), (-1, 1)))
    values = sample_values(input_of(image, layers.Conv2D(2, 3)(image))["image"], 6, np.random.default_rng(0))
    assert np.all(values.reshape(6, -1).max(axis=1) <= [255, 1, 1, 255, 1, 1])
    assert np.all(values.reshape(6, -1).min(axis=1) >= [0, 0, -1, 0, 0, -1])


def test_inputs_of_a_subclassed_model_are_followed_by_value():
    class Both(keras.Model):
        def __init__(self):
            super().__init__()
            self.words, self.segments = layers.Embedding(200, 4), layers.Embedding(2, 4)

        def call(self, inputs, training=False):
            return self.words(tf.reshape(inputs["words"], (-1, 4))) + self.segments(
                tf.cast(inputs["segments"], "int64")
            )

    samples = {name: np.ones((2, 4), "int32") for name in ("words", "segments")}  # legal in either table
    model = Both()
    model(samples)
    assert {t.name: t.high for t in infer_contract(model, samples).endpoints[0].inputs} == {"words": 199, "segments": 1}


@pytest.mark.parametrize("reshaped", [True, False])
def test_what_a_layer_takes_as_its_mask_is_zero_or_one(reshaped):
    x = keras.Input((None,), dtype="int32", name="tokens")
    mask = keras.Input((None,) if reshaped else (None, None), dtype="int32", name="padding")
    count = keras.Input((1,), dtype="int32", name="count")
    h = layers.Embedding(50, 4)(x)
    seen = keras.ops.cast(keras.ops.expand_dims(mask, 1), "bool") if reshaped else mask
    h = layers.MultiHeadAttention(2, 4)(h, h, attention_mask=seen)
    model = keras.Model([x, mask], h)
    _, padding = infer_contract(model).endpoints[0].inputs
    assert (padding.name, padding.low, padding.high) == ("padding", 0, 1)
    scaled = h * keras.ops.cast(count, "float32")[:, :, None]
    with pytest.raises(ExportError, match="input count is int32 and no layer determines"):
        infer_contract(keras.Model([x, mask, count], scaled))
