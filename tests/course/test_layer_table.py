"""The table of layers of two lessons: sums, formulas, receptive fields."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from docs.course.layer_table import layer_table


def rows_of(model):
    return {row.name: row for row in layer_table(model)}


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist_cnn", "admissions", "attention", "text_rnn"])
def test_parameters_add_up(name):
    arguments = {key: value for key, value in zoo.get_spec(name).tiny.items() if "." not in key}
    (model,) = zoo.get_spec(name).task.served(zoo.build(name, **arguments)).values()
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
