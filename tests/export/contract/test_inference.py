"""Inference of the contract of a model, and rows near the constants that it compares with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from export import export_model, verify_bundle
from export.contract import Tensor
from export.contract.inference import infer_contract
from export.contract.sampling import sample_values, texts_of_words
from export.contract.thresholds import rows_near, thresholds_of
from export.parity.golden import cases_for
from export.proof.reference import THRESHOLDS, run_reference
from tests.export.conftest import create, replace_saved_model
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


def input_of(*args):
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


def stepped(threshold=0.5):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    y = keras.layers.Dense(2)(x)
    return keras.Model(x, keras.ops.where(x[:, :1] > threshold, y + 1.0, y))


def test_the_constants_of_comparisons_and_of_buckets_are_found():
    edges = keras.layers.Discretization(bin_boundaries=[-1.5, 2.5])

    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def call(x):
        inner = tf.cond(tf.reduce_any(x > 0.25), lambda: x * 7.0, lambda: x)
        return tf.where(inner <= 3.0, edges(x), 0)

    assert thresholds_of(call.get_concrete_function()) == [-1.5, 0.25, 2.5, 3.0]


def test_rows_are_near_the_thresholds_in_the_range_of_the_input_and_stay_in_it():
    (endpoint,) = infer_contract(stepped()).endpoints
    inputs, names = rows_near(endpoint, [0.5, 1e6])
    assert names == ("below 0.5", "above 0.5")
    for row, sign in zip(inputs["x"], (-1, 1), strict=True):
        assert np.all((sign * (row - 0.5) > 9e-5) & (sign * (row - 0.5) < 6e-4))
    assert rows_near(endpoint, [1e6]) is None


@pytest.mark.extended
def test_a_step_at_another_place_is_found_by_an_example(tmp_path):
    model = stepped()
    contract = infer_contract(model)
    bundle = export_model(model, tmp_path / "bundle", formats=("keras", "saved_model"), contract=contract)
    moved = stepped(0.501)
    moved.set_weights(model.get_weights())
    replace_saved_model(bundle.path, moved, contract, serving_default=lambda x: {"output": moved(x["x"])})
    row = next(row for row in verify_bundle(bundle.path).rows if row.runtime == "tensorflow")
    assert THRESHOLDS in row.reason


def test_a_model_without_comparisons_has_no_such_rows():
    x = keras.Input((4,), name="x")
    contract = infer_contract(keras.Model(x, keras.layers.Dense(2)(x)))
    cases = {endpoint.name: cases_for(endpoint) for endpoint in contract.endpoints}
    run_reference(contract, cases)
    assert THRESHOLDS not in [case.name for group in cases.values() for case in group]


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint8", 0, 255), ("float32", -1, 1)])
def test_generated_images_look_like_photographs_and_drawings(dtype, low, high):
    tensor = Tensor("image", dtype, (None, 32, 32, 3), "image", low=low, high=high)
    noise, texture, edges, gradient = sample_values(tensor, 4, np.random.default_rng(0)).astype(float)

    def difference_of_neighbours(image):
        return np.abs(np.diff(image, axis=1)).mean() / (high - low)

    assert difference_of_neighbours(noise) > 0.3
    assert 0.01 < difference_of_neighbours(texture) < 0.15
    assert difference_of_neighbours(gradient) < 0.05
    assert len(np.unique(edges.reshape(-1, 3), axis=0)) <= 7
    assert min(i.min() for i in (noise, texture, edges, gradient)) >= low
    assert max(i.max() for i in (noise, texture, edges, gradient)) <= high


def test_sequences_are_padded_at_either_end_and_repeat_a_token():
    ids = sample_values(Tensor("ids", "int32", (None, 16), "token", low=0, high=99), 8, np.random.default_rng(0))
    assert np.all(ids[[1, 5], -1] == 0) or np.all(ids[[1, 5], 0] != 0)
    assert (ids[[1, 5]] == 0).sum() > 0
    assert (ids[[2, 6], 0] == 0).all()
    assert (ids[[3, 7]] == ids[[3, 7], :1]).all()


def test_texts_have_capitals_repetitions_unknown_words_and_white_space_at_the_ends():
    texts = texts_of_words(Tensor("text", "string", (None,), "text", vocabulary=("", "[UNK]", "one", "two", "six")))
    assert any(text.isupper() for text in texts)
    assert any(len(set(text.split())) == 1 for text in texts)
    assert any("qzxv" in text for text in texts)
    assert any(text.startswith("  ") for text in texts)
    assert any(text.endswith("\n") for text in texts)
