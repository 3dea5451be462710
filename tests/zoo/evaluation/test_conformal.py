"""Prediction sets and intervals cover what they state, whatever the model is worth."""

import numpy as np
import pytest

from zoo.evaluation import conformal

RANDOM = np.random.default_rng(0)


def probabilities(count, sharpness):
    """Return the probabilities of a model of three classes, right as often as it is sharp, and the truth."""
    truth = RANDOM.integers(0, 3, count)
    logits = RANDOM.normal(size=(count, 3)) + sharpness * np.eye(3)[truth]
    shifted = np.exp(5 * logits)  # far too confident
    return shifted / shifted.sum(-1, keepdims=True), truth


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 3.0])
def test_sets_cover_nine_of_ten_however_good_the_model_is(sharpness):
    result = conformal.of_classes(*probabilities(2000, sharpness), *probabilities(4000, sharpness))
    assert result["coverage"] == pytest.approx(0.9, abs=0.025)
    low, high = result["interval"]
    assert low < result["coverage"] < high
    assert 0.9 <= result["set_size"] <= 3


def test_a_better_model_has_smaller_sets():
    sizes = [
        conformal.of_classes(*probabilities(2000, s), *probabilities(2000, s))["set_size"] for s in (0.0, 1.0, 3.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[2]


def test_intervals_of_numbers():
    result = conformal.of_numbers(RANDOM.normal(scale=2.0, size=2000), RANDOM.normal(scale=2.0, size=4000))
    assert result["coverage"] == pytest.approx(0.9, abs=0.025)
    assert result["margin"] == pytest.approx(1.645 * 2, rel=0.1)
    assert "plus and minus 3" in conformal.describe(result)


def test_too_few_examples_promise_nothing():
    assert conformal.threshold(np.arange(5.0)) == np.inf
    result = conformal.of_classes(*probabilities(5, 1.0), *probabilities(100, 1.0))
    assert (result["coverage"], result["set_size"], result["smallest_probability"]) == (1.0, 3.0, 0.0)
    assert conformal.of_numbers(np.arange(5.0), np.zeros(9)) is None
