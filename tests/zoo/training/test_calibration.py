"""Temperature and class weights are found on data of which both are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
from zoo.training.calibration import calibrate

RANDOM = np.random.default_rng(0)
SHARES = np.array([0.9, 0.08, 0.02])
COUNT = 6000


def population():
    """Return one number for each example, its class, and the true probabilities of the classes."""
    labels = RANDOM.choice(3, COUNT, p=SHARES)
    x = labels + RANDOM.normal(size=COUNT)
    likelihood = np.exp(-0.5 * (x[:, None] - np.arange(3)) ** 2)
    posterior = likelihood * SHARES
    return x.astype(np.float32)[:, None], labels, posterior / posterior.sum(-1, keepdims=True)


def classifier(temperature, weights):
    """Return a model whose logits are those of a training with class weights, times a temperature."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs))
    kernel = np.arange(3.0)[None]
    bias = -0.5 * np.arange(3.0) ** 2 + np.log(SHARES * weights)
    model.get_layer("logits").set_weights([temperature * kernel, temperature * bias])
    return model


def feed(x, labels):
    return pipelines.feed(tf.data.Dataset.from_tensor_slices((x, labels)))


@pytest.mark.parametrize("temperature", [0.5, 3.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_probabilities_become_those_of_the_data(temperature, weighted):
    x, labels, posterior = population()
    weights = 1 / (3 * SHARES) if weighted else np.ones(3)
    model = classifier(temperature, weights)
    result = calibrate(model, feed(x, labels), weights if weighted else None)
    assert result["temperature"] == pytest.approx(temperature, rel=0.1)
    assert result["after"] < result["before"]
    probabilities = tf.nn.softmax(model(x)).numpy()
    np.testing.assert_allclose(probabilities, posterior, atol=0.05)
    np.testing.assert_allclose(probabilities.mean(0), SHARES, atol=0.01)  # not a third each


def test_without_the_correction_rare_classes_are_too_probable():
    x, labels, _ = population()
    weights = 1 / (3 * SHARES)
    model = classifier(1.0, weights)
    calibrate(model, feed(x, labels))
    assert tf.nn.softmax(model(x)).numpy().mean(0)[2] > 3 * SHARES[2]


def test_a_class_without_training_examples_keeps_its_logit():
    x, labels, _ = population()
    model = classifier(1.0, np.ones(3))
    calibrate(model, feed(x, labels), np.array([1.0, 1.0, 0.0]))
    assert np.isfinite(model.get_layer("logits").bias.numpy()).all()
