"""Fused batch normalisation equals Keras' layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.modeling.instance_methods import fused

X = np.random.default_rng(0).normal(3, 2, (6, 5, 5, 4)).astype("float32")


def pair(**arguments):
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((5, 5, 4)), keras.layers.BatchNormalization(**arguments)])
        layer = model.layers[0]
        for variable in layer.variables:
            variable.assign(np.random.default_rng(2).uniform(0.5, 1.5, variable.shape))
        models.append(model)
    return models


def step(model, x):
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = model(x, training=True)
        loss = tf.reduce_sum(y**3)
    return [np.asarray(v) for v in (y, *tape.gradient(loss, [x, *[v.value for v in model.trainable_variables]]))]


def test_training_step_equals_the_stock_layer():
    stock, quick = pair(momentum=0.9, epsilon=1e-3)
    expected = step(stock, X)
    with fused(quick) as count:
        assert count == 1
        got = step(quick, X)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4 * np.abs(other).max())
    for one, other in zip(quick.non_trainable_variables, stock.non_trainable_variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)  # Bessel's factor 150/149 would be 6.7e-3


def test_inference_equals_the_stock_layer():
    stock, quick = pair()
    with fused(quick):
        np.testing.assert_allclose(quick(X, training=False), stock(X, training=False), rtol=1e-4, atol=1e-5)


def test_stock_layers_are_restored_after_an_error():
    model = pair()[0]

    def fail():
        with fused(model):
            assert "call" in vars(model.layers[0])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize("arguments", [{"axis": 1}, {"scale": False}, {"trainable": False}])
def test_unsupported_layers_are_not_fused(arguments):
    model = pair(**arguments)[0]
    with fused(model) as count:
        assert count == 0


def test_weights_saved_inside_load_outside(tmp_path):
    model, other = pair()
    with fused(model):
        step(model, X)
        model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model(X), other(X))
