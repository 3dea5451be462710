"""The first layer that TFLite gets wrong is found by bisection over truncated models."""

import keras
import numpy as np
import pytest

from export import Checks, ExportFailed, export_model, infer_contract
from export.parity.golden import cases_for
from export.proof.bisect import first_layer
from export.proof.layer_diff import first_case
from tests.export.conftest import create


def test_the_layer_that_has_no_builtin_operator(tmp_path):
    model, _ = create("text")
    with pytest.raises(ExportFailed, match="the first layer that TFLite gets wrong is text_vectorization") as failure:
        export_model(model, tmp_path / "b", formats=("tflite",), checks=Checks(bisect=True))
    assert "no builtin TFLite operator" in str(failure.value)


@pytest.mark.proof
def test_the_layer_that_loses_precision(tmp_path):
    """float16 weights are exact in a layer of powers of two, and not in the next one."""
    x = keras.Input((8,), name="x")
    exact = keras.layers.Dense(8, name="exact", kernel_initializer=keras.initializers.Identity(0.5))(x)
    y = keras.layers.Dense(4, name="rounded", kernel_initializer=keras.initializers.Constant(1 / 3))(exact)
    model = keras.Model(x, keras.layers.ReLU(name="last")(y))

    endpoint = infer_contract(model).endpoints[0]
    case = first_case([c for c in cases_for(endpoint) if not setattr(c, "outputs", {"y": np.zeros(1)})])
    assert "the first layer that TFLite gets wrong is rounded: differs by" in first_layer(
        model, endpoint, case, "float16"
    )
    assert first_layer(model, endpoint, case) is None
