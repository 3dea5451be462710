"""Fused batch normalisation equals Keras' layer; the table of layers: sums, formulas, receptive fields."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import info
from zoo.core.layer_table import layer_table
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


def rows_of(model):
    return {row.name: row for row in layer_table(model)}


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist_cnn", "admissions", "attention", "text_rnn"])
def test_parameters_add_up(name):
    (model,) = zoo.get_spec(name).task.served(zoo.build(name, **zoo.get_spec(name).tiny)).values()
    assert sum(row.parameters for row in layer_table(model)) == model.count_params()


def test_rows_of_known_layers():
    rows = rows_of(zoo.build("fashion_mnist"))
    conv = rows["block1_0_conv"]
    assert conv.output_shape == (14, 14, 64)
    assert conv.parameters == 3 * 3 * 32 * 64
    assert conv.multiply_adds == 14 * 14 * conv.parameters
    assert conv.receptive_field == (8, 8)  # 3, pooling 2: 4, then 2 * 2 more
    assert rows["pool"].receptive_field is None
    recurrent = rows_of(zoo.build("text_rnn", cell="lstm", units=8, embedding_dim=4))["lstm0"]
    assert recurrent.multiply_adds == 32 * 4 * 8 * (4 + 8)


@pytest.mark.parametrize("api", ["sequential", "subclassed"])
def test_the_apis_have_the_same_table(api):
    tiny = dict(zoo.get_spec("fashion_mnist").tiny)
    assert layer_table(zoo.build("fashion_mnist", **tiny, api=api)) == layer_table(zoo.build("fashion_mnist", **tiny))


@pytest.mark.parametrize("layer", ["down0", "down1", "down2"])
def test_receptive_field_is_what_the_gradient_reaches(layer):
    (model,) = zoo.get_spec("pix2pix").task.served(zoo.build("pix2pix", image_shape=(64, 64, 1))).values()
    maps = keras.Model(model.input, model.get_layer(layer).output)
    image = tf.random.stateless_uniform((1, 64, 64, 1), seed=(0, 0)) * 255
    with tf.GradientTape() as tape:
        tape.watch(image)
        side = maps.output.shape[1] // 2
        value = tf.reduce_sum(maps(image, training=False)[0, side, side])
    reached = np.argwhere(tape.gradient(value, image).numpy()[0, ..., 0])
    assert tuple(reached.max(0) - reached.min(0) + 1) == rows_of(model)[layer].receptive_field


def test_a_model_is_unchanged():
    model = zoo.build("mnist", units=[4])
    before = {layer: layer.call for layer in model.layers}
    layer_table(model)
    assert all(layer.call == before[layer] for layer in model.layers)


def test_command(capsys):
    assert "layers" not in info.run("mnist")
    info.main(["mnist", "--layers"], standalone_mode=False)
    text = capsys.readouterr().out
    assert "401,920" in text
    assert "669,706" in text
    info.main(["mnist", "--layers", "--json"], standalone_mode=False)
    (rows,) = json.loads(capsys.readouterr().out)["layers"].values()
    assert (
        rows[2] | {"name": "dense_0", "output_shape": [512], "parameters": 401920, "multiply_adds": 401408} == rows[2]
    )
