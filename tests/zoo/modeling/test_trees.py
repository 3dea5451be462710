"""Boosted trees as a layer: equal to scikit-learn's, in every format, for numbers, categories and missing values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from export import export_model, load
from tests.plugins.tiers import only
from zoo.modeling.trees import NEVER, TreeEnsemble

CATEGORIES = [False, False, True, False, True]
KINDS = {
    "numbers": lambda y: (HistGradientBoostingRegressor(max_iter=20), 100 * y + 1000),
    "categories": lambda y: (HistGradientBoostingRegressor(max_iter=30, categorical_features=CATEGORIES), y),
    "two classes": lambda y: (HistGradientBoostingClassifier(max_iter=20, categorical_features=CATEGORIES), y > 0),
    "four classes": lambda y: (HistGradientBoostingClassifier(max_iter=10), np.digitize(y, [-2, 0, 2])),
}


def rows(count):
    """Return (count, 5) float32: numbers, some missing, categories of 40 and of 7 values, some missing; and targets."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 5)).astype(np.float32)
    x[:, 2], x[:, 4] = rng.integers(0, 40, count), rng.integers(0, 7, count)
    y = x[:, 0] * x[:, 1] + 3 * np.sin(x[:, 2]) + (x[:, 4] == 3)
    x[:, :3][rng.random((count, 3)) < 0.1] = np.nan
    return x, y


def assert_rounded_once(got, exact):
    """The nearest float32, but for what the sum of the rests of the leaves rounds."""
    half = np.spacing(np.abs(exact).astype(np.float32)) / 2
    assert (np.abs(got - exact) <= half + 1e-9).all()


@pytest.mark.parametrize(
    ("kind", "count"),
    [*((kind, 4000) for kind in KINDS), pytest.param("categories", 100_000, marks=pytest.mark.extended)],
)
def test_the_sum_is_that_of_scikit_learn_rounded_once(kind, count):
    x, y = rows(count)
    fitted, target = KINDS[kind](y)
    fitted.fit(x[:3000].astype(np.float64), target[:3000])
    exact = fitted._raw_predict(x.astype(np.float64)).reshape(len(x), -1)
    trees = tf.function(TreeEnsemble.of(fitted))
    got = np.concatenate([trees(x[i : i + 4000]).numpy() for i in range(0, len(x), 4000)])
    assert_rounded_once(got, exact)


@pytest.mark.parametrize("seen", [[0, 2], [0, 2, 3]])
def test_logits_are_of_all_classes(seen):
    x, y = rows(600)
    target = np.array(seen)[np.digitize(y, [0, 2][: len(seen) - 1])]
    fitted = HistGradientBoostingClassifier(max_iter=5).fit(x.astype(np.float64), target)
    logits = TreeEnsemble.of(fitted, classes=4)(x).numpy()
    assert (logits[:, [i for i in range(4) if i not in seen]] == NEVER).all()
    probabilities = fitted.predict_proba(x.astype(np.float64))
    np.testing.assert_allclose(tf.nn.softmax(logits).numpy()[:, seen], probabilities, atol=1e-6)


def test_values_that_training_did_not_have_are_missing_ones():
    x, y = rows(600)
    x = np.nan_to_num(x)
    fitted = HistGradientBoostingRegressor(max_iter=10, categorical_features=CATEGORIES)
    known = (x[:, 4] != 6) & (x[:, 2] < 39)  # also the largest value of all
    fitted.fit(x[known].astype(np.float64), y[known])
    assert_rounded_once(TreeEnsemble.of(fitted)(x).numpy()[:, 0], fitted._raw_predict(x.astype(np.float64))[:, 0])


def test_ids_stand_for_values():
    x, y = rows(600)
    fitted = HistGradientBoostingRegressor(max_iter=10, categorical_features=CATEGORIES).fit(x.astype(np.float64), y)
    ids = {2: np.arange(40)[::-1] + 1, 4: np.arange(7) + 1}
    encoded = x.copy()
    encoded[:, 2] = np.where(np.isnan(x[:, 2]), 0, 40 - x[:, 2])  # 0 is missing
    encoded[:, 4] = x[:, 4] + 1
    got = TreeEnsemble.of(fitted, ids=ids)(encoded).numpy()[:, 0]
    assert_rounded_once(got, fitted._raw_predict(x.astype(np.float64))[:, 0])


def test_weights_of_any_number_of_trees_are_loaded(tmp_path):
    x, y = rows(300)
    fitted = HistGradientBoostingRegressor(max_iter=7).fit(x.astype(np.float64), y)
    models = []
    for layer in (TreeEnsemble.of(fitted), TreeEnsemble()):
        inputs = keras.Input((5,))
        models.append(keras.Model(inputs, layer(inputs)))
    models[0].save_weights(tmp_path / "trees.weights.h5")
    models[1].load_weights(tmp_path / "trees.weights.h5")
    np.testing.assert_array_equal(models[0](x), models[1](x))
    assert len(models[1].weights) == len(models[0].weights)


@pytest.mark.parametrize("kind", only(KINDS, (), set(KINDS) - {"categories"}))
def test_every_format_has_the_same_sums(kind, tmp_path):
    x, y = rows(1000)
    fitted, target = KINDS[kind](y)
    fitted.fit(x.astype(np.float64), target)
    inputs = keras.Input((5,), name="row")
    model = keras.Model(inputs, TreeEnsemble.of(fitted)(inputs))
    bundle = export_model(model, tmp_path / "bundle", samples={"row": np.nan_to_num(x[:64])})
    assert bundle.certificate.verdict == "pass"
    exact = fitted._raw_predict(x.astype(np.float64)).reshape(len(x), -1)
    for runtime in ("saved_model", "tflite"):
        (output,) = load(bundle.path, runtime)["serving_default"](row=x).values()
        assert_rounded_once(output, exact)
