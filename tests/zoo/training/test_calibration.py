"""Temperature and class weights, and filters of principal components, are found on data of which both are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from tests.zoo.conftest import fit
from zoo.core.run_folder import RunFolder
from zoo.training.calibration import calibrate
from zoo.training.whitening import whiten
from zoobase.errors import UsageError

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


def test_few_examples_and_what_does_not_help_change_nothing():
    x, labels, _ = population()
    model = classifier(3.0, np.ones(3))
    kernel = model.get_layer("logits").kernel.numpy()
    assert calibrate(model, feed(x[:49], labels[:49]))["temperature"] == 1.0
    right = classifier(1.0, np.ones(3))  # of which weights that were not used would be subtracted
    result = calibrate(right, feed(x[:49], labels[:49]), 1 / (3 * SHARES))
    assert result["after"] == result["before"]
    np.testing.assert_array_equal(model.get_layer("logits").kernel, kernel)


def test_a_temperature_that_does_not_hold_for_the_other_half_is_not_taken():
    """All examples of two speakers are alike: a temperature for one of them is wrong for the other."""
    x, labels, _ = population()
    speaker = np.arange(COUNT) % 2
    model, kept = classifier(1.0, np.ones(3)), classifier(1.0, np.ones(3))
    wrong = RANDOM.random(COUNT) < 0.5 * speaker
    mixed = np.where(wrong, RANDOM.integers(0, 3, COUNT), labels)
    assert calibrate(model, feed(x, mixed))["temperature"] > 1.1
    assert calibrate(kept, feed(x, mixed), groups=speaker)["temperature"] == 1.0
    assert kept.get_layer("logits").kernel.numpy().tolist() == [[0.0, 1.0, 2.0]]


def test_logits_that_no_linear_layer_has_stay_as_they_are():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs))
    x, labels, _ = population()
    model.get_layer("logits").set_weights([np.array([[-3.0, 0.0, 3.0]]), np.zeros(3)])
    before = [weight.tolist() for weight in model.get_weights()]
    tanh = keras.Model(inputs, keras.layers.Activation("tanh")(model.get_layer("logits").output))
    assert calibrate(tanh, feed(x, labels))["temperature"] == 1.0
    assert [weight.tolist() for weight in tanh.get_weights()] == before


def test_a_class_without_training_examples_keeps_its_logit():
    x, labels, _ = population()
    model = classifier(1.0, np.ones(3))
    calibrate(model, feed(x, labels), np.array([1.0, 1.0, 0.0]))
    assert np.isfinite(model.get_layer("logits").bias.numpy()).all()


def outputs(model, inputs):
    """Return the outputs of the first convolution without the border, where it sees zeros: (values, filters)."""
    layer = model.get_layer("block0_0_conv")
    values = np.asarray(layer(np.float32(inputs) / 255))[:, 1:-1, 1:-1]
    return values.reshape(-1, values.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("api", ["functional", "sequential", "subclassed"])
def test_filters_are_uncorrelated_and_come_with_their_negatives(api):
    dots = np.random.default_rng(0).integers(0, 2, (50, 31, 31, 1)) * 255
    inputs = (dots[:, 1:, 1:] + dots[:, 1:, :-1] + dots[:, :-1, 1:]) / 3  # neighbours are alike
    model = zoo.build("fashion_mnist", api=api, filters=(18, 8), depths=(1, 1), image_shape=(30, 30, 1))
    before = outputs(model, inputs)
    whiten(model, inputs)
    after = outputs(model, inputs)
    np.testing.assert_allclose(after[:, :9], -after[:, 9:], rtol=1e-4, atol=1e-4)
    second_moments = after[:, :9].T @ after[:, :9] / len(after)
    scale = np.sqrt(np.outer(np.diag(second_moments), np.diag(second_moments)))
    assert np.abs(second_moments / scale - np.eye(9)).max() < 0.2
    assert np.linalg.cond(second_moments) < np.linalg.cond(before[:, :9].T @ before[:, :9]) / 10


def test_further_filters_keep_their_values():
    model = zoo.build("fashion_mnist", filters=(20, 8), depths=(1, 1))
    before = model.get_layer("block0_0_conv").kernel.numpy()
    whiten(model, np.random.default_rng(0).integers(0, 256, (10, 28, 28, 1)))
    after = model.get_layer("block0_0_conv").kernel.numpy()
    np.testing.assert_array_equal(after[..., 18:], before[..., 18:])
    assert np.all(np.any(after[..., :18] != before[..., :18], axis=(0, 1, 2)))


def test_models_that_do_not_begin_with_a_convolution_are_refused():
    with pytest.raises(UsageError, match=r"recipe.whiten needs a model that begins with a convolution, and this mnist"):
        whiten(zoo.build("mnist"), np.zeros((2, 28, 28, 1)))


@pytest.mark.extended
def test_a_training_starts_from_it(tmp_path):
    """With a learning rate of nearly zero, the filters are those of `whiten`, and as many as there are components."""
    settings = {"recipe.whiten": True, "recipe.epochs": 1, "recipe.learning_rate": 1e-12, "recipe.weight_decay": 0.0}
    settings |= {"model.filters": (18, 8), "model.depths": (1, 1), "recipe.limit": 64, "recipe.batch_size": 32}
    fit("fashion_mnist", tmp_path / "run", settings, evaluate=False)
    model = zoo.build("fashion_mnist", filters=(18, 8), depths=(1, 1))
    model.load_weights(RunFolder(tmp_path / "run").weights)
    kernel = model.get_layer("block0_0_conv").kernel.numpy().reshape(9, 18)
    np.testing.assert_allclose(kernel[:, :9], -kernel[:, 9:], atol=1e-5)
    assert np.abs(kernel).max() > 0.5
