"""Rows near the constants that a model compares with."""

import keras
import numpy as np
import pytest

from export import export_model, infer_contract, verify_bundle
from export.contract import Tensor
from export.contract.sampling import sample_values, texts_of_words
from export.contract.thresholds import rows_near, thresholds_of
from export.parity.golden import cases_for
from export.proof.reference import THRESHOLDS, run_reference
from export.runtime.backend import load_tensorflow
from tests.export.conftest import replace_saved_model

tf = load_tensorflow()


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
