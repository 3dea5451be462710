"""The noise floor of the live model."""

import keras
import numpy as np

from export import infer_contract
from export.parity.golden import cases_for
from export.parity.noise_floor import measure_noise_floor
from export.proof.reference import run_reference
from export.runtime.backend import load_tensorflow

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
