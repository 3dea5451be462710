"""Regression: gradient boosting as its users fit it, and models of counts."""

import numpy as np
import pytest

import zoo
from zoo.core import plan
from zoo.tasks.tabular.regression import fit_boosting
from zoobase.errors import UsageError


def skewed(seed):
    """Positive targets whose effects and whose noise are factors."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(800, 2))
    return x, np.exp(3 * x[:, 0] + rng.normal(0, 1, 800)), [False, False]


def test_gradient_boosting_has_the_better_transform_on_validation():
    boosting = fit_boosting(skewed(0), skewed(1))
    assert boosting.func is np.log1p
    x, y, categories = skewed(0)
    below_zero = (x, y - 1, categories)
    assert fit_boosting(below_zero, below_zero).func is None


def test_rentals_are_never_negative():
    model = zoo.build("bike_sharing")
    model.set_weights([3 * w if w.dtype.kind == "f" else w for w in model.get_weights()])  # large outputs of both signs
    rng = np.random.default_rng(0)
    rows = {
        "hour": np.array([f"{h % 24:02d}" for h in range(200)], object),
        "temperature": rng.normal(16, 9, 200).astype("float32"),
    }
    import tensorflow as tf

    rentals = model({name: tf.constant(column) for name, column in rows.items()}).numpy()
    assert (rentals >= 0).all()
    assert np.isfinite(rentals).all()


def test_an_unknown_loss_is_named():
    with pytest.raises(UsageError, match="did you mean poisson"):
        plan.make_plan("bike_sharing", settings={"task.loss": "poison"})
