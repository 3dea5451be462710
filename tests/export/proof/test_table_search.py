"""What a proof runs the live model for: rows of tables that change an output, and the noise floor."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from export.contract.inference import infer_contract
from export.parity.golden import cases_for
from export.parity.noise_floor import measure_noise_floor
from export.proof.coverage import Coverage
from export.proof.reference import run_reference
from export.runtime.backend import load_tensorflow


def search(model):
    contract = infer_contract(model)
    coverage = Coverage(model)
    with coverage.observer.observing(contract) as observed:
        more = coverage.search(observed, {e.name: cases_for(e) for e in contract.endpoints})
    return coverage, more["serving_default"]


@pytest.mark.extended
def test_ids_that_a_recurrent_network_forgets_are_drawn_again():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((32,), dtype="int32", name="tokens")
    x = layers.SimpleRNN(4, recurrent_initializer=keras.initializers.Identity(0.1))(layers.Embedding(600, 4)(tokens))
    coverage, cases = search(keras.Model(tokens, layers.Dense(2)(x)))
    (effective,) = coverage.tables.effective.values()
    assert effective.all()
    rows = sum(len(case.inputs["tokens"]) for case in cases)
    assert 600 / 32 < rows < 700  # a row shows its last two or three ids only


def test_a_table_of_positions_is_reached_by_a_longer_row():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    positions = layers.Embedding(40, 4, name="positions")(ops.cumsum(ops.ones_like(tokens), axis=1) - 1)
    x = layers.Embedding(10, 4, name="words")(tokens) + positions
    coverage, cases = search(keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))))
    assert coverage.summary()["tables"]["positions"] == {"rows": 40, "read": 40}
    assert cases[-1].inputs["tokens"].shape == (1, 40)


load_tensorflow()


def test_where_no_input_is_real_the_weights_are_moved_and_have_their_values_again():
    keras.utils.set_random_seed(0)
    ids = keras.Input((12,), dtype="int32", name="ids")
    x = keras.layers.GRU(8)(keras.layers.Embedding(20, 8, mask_zero=True)(ids))
    model = keras.Model(ids, keras.layers.Dense(3)(x))
    before = model.get_weights()
    contract = infer_contract(model)
    cases = {endpoint.name: cases_for(endpoint) for endpoint in contract.endpoints}
    run = run_reference(contract, cases, model.weights)
    noise = measure_noise_floor(cases["serving_default"], run.of("serving_default"))
    assert 0 < noise["perturbed"]["output"] < 1e-5
    for value, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, weight)
    assert "perturbed" not in measure_noise_floor(
        cases["serving_default"], run_reference(contract, cases).of("serving_default")
    )


@pytest.mark.parametrize("layer", [layers.GRU, layers.LSTM, layers.SimpleRNN])
def test_the_steps_of_recurrent_layers_are_observed(layer):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 3), name="x")
    model = keras.Model(x, layers.Dense(2)(layers.Bidirectional(layer(4))(layers.Masking()(x))))
    contract, coverage = infer_contract(model), Coverage(model)
    with coverage.observer.observing(contract) as observed:
        run_reference(observed, {e.name: cases_for(e) for e in contract.endpoints})
    summary = coverage.summary()
    assert summary["branches"] == {"layers": 7, "not_taken": []}  # with both directions and their cells
    assert summary["units"]["all"] == 2 * 4 + 2
    assert summary["units"]["active"] == summary["units"]["all"]
    graph = contract["serving_default"].call  # nothing of the observer stays in a graph that is traced later
    operators = load_tensorflow().function(graph).get_concrete_function({"x": np.zeros((1, 6, 3), "float32")}).graph
    assert "EagerPyFunc" not in str(operators.as_graph_def())
