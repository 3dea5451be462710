"""Candidates for time series: naive forecasts, a linear one, and gradient-boosted trees."""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers, ops

from pipelines.dataset import Dataset
from zoo.candidates import linear, tables
from zoo.candidates.boosting import Rows
from zoo.candidates.windows import window_inputs
from zoo.core.plan import Plan
from zoo.core.task import Candidate
from zoo.modeling.trees import TreeEnsemble

MOST = 50_000  # rows to which trees are fitted
HELD = 5  # the last fifth of the training windows chooses the penalty

Kernel = Callable[[int, int, int], np.ndarray]  # history, horizon, season -> (history, horizon)


def ladder(season: int) -> dict[str, Candidate]:
    """Return the candidates of a series, the cheapest first; a season of 1 is none."""
    of_lags = functools.partial(Candidate, build=linear_model, fast=True)
    found = {
        "last": of_lags(
            "last value",
            fit=functools.partial(_fit_kernel, lambda history, horizon, _: np.zeros((history, horizon)), season),
        )
    }
    if season > 1:
        fit = functools.partial(_fit_kernel, _seasonal, season)
        found["seasonal"] = of_lags(f"the value one season of {season} rows before", fit=fit)
    drift = functools.partial(_fit_kernel, _drift, season)
    found["drift"] = of_lags("line through the first and last value", fit=drift)
    found["ridge"] = of_lags("ridge regression on lags", fit=_fit_ridge)
    found["boosting"] = Candidate("gradient boosting on lags", trees, _fit_trees, fast=True)
    return found


def linear_model(
    name: str, history: int, horizon: int, features: Sequence[Sequence[float]], target: Sequence[float]
) -> keras.Model:
    """Return one `Dense` layer on the history and on what is known of the rows of the forecast."""
    inputs, past, known, output = window_inputs(history, horizon, features, target)
    future = layers.Flatten(name="known_ahead")(layers.Cropping1D((history, 0), name="future")(known))
    x = layers.Concatenate(name="lags")([past, future])
    return keras.Model(inputs, output(layers.Dense(horizon, name="linear")(x)), name=name)


def trees(
    name: str, history: int, horizon: int, features: Sequence[Sequence[float]], target: Sequence[float]
) -> keras.Model:
    """Return boosted trees, which are to be fitted, on the history, the number of the row, and what is known of it."""
    inputs, past, known, output = window_inputs(history, horizon, features, target)
    future = layers.Cropping1D((history, 0), name="future")(known)
    repeated = layers.RepeatVector(horizon, name="repeat")(past)
    steps = ops.zeros_like(future[:, :, :1]) + np.arange(horizon, dtype=np.float32)[None, :, None]
    x = layers.Concatenate(name="lags")([repeated, steps, future])
    x = TreeEnsemble(name="trees")(ops.reshape(x, (-1, x.shape[-1])))
    return keras.Model(inputs, output(ops.reshape(x, (-1, horizon))), name=name)


def _seasonal(history: int, horizon: int, season: int) -> np.ndarray:
    kernel = np.zeros((history, horizon))
    steps = np.arange(horizon)
    kernel[history - season + steps % season, steps] = 1.0
    return kernel


def _drift(history: int, horizon: int, season: int) -> np.ndarray:
    kernel = np.zeros((history, horizon))
    kernel[0] = -np.arange(1, horizon + 1) / (history - 1)  # the history is relative to its last value
    return kernel


def _fit_kernel(kernel: Kernel, season: int, model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    layer, horizon = model.get_layer("linear"), model.output_shape[-1]
    history = model.input_shape[0][1]
    values = np.zeros(layer.kernel.shape)
    values[:history] = kernel(history, horizon, season)
    layer.kernel.assign(values)


def _examples(
    model: keras.Model, layer: str, plan: Plan, dataset: Dataset, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs of a layer, (windows, ...) of a split in order, and the scaled changes (windows, horizon)."""
    body = keras.Model(model.inputs, model.get_layer(layer).input)
    deviation, x, y = dataset.info.statistics["series"]["target"][1], [], []
    for inputs, targets, *_ in plan.feed(dataset, split).batches(linear.BATCH):
        features = body([inputs[name] for name in ("history", "known")], training=False)
        x.append(np.asarray(features, np.float64).reshape(len(targets), -1, features.shape[-1]))
        y.append((np.asarray(targets) - np.asarray(inputs["history"])[:, -1:]) / deviation)
    return np.concatenate(x), np.concatenate(y).astype(np.float64)


def _fit_ridge(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    """Fit ridge regression, whose penalty for each row of the forecast is chosen on the last training windows."""
    from sklearn.linear_model import Ridge

    x, y = _examples(model, "linear", plan, dataset, "train")
    x = x[:, 0]
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    z = (x - mean) / scale
    start = len(z) - max(1, len(z) // HELD)
    kept = max(1, start - y.shape[1])  # the windows between have rows in common with those of both
    errors = [
        np.mean((Ridge(penalty).fit(z[:kept], y[:kept]).predict(z[start:]) - y[start:]) ** 2, axis=0)
        for penalty in linear.PENALTIES
    ]
    fitted = Ridge(linear.PENALTIES[np.argmin(errors, axis=0)]).fit(z, y)
    model.get_layer("linear").set_weights(linear.unscaled(fitted.coef_.T, fitted.intercept_, mean, scale))


def _fit_trees(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    def rows(split: str) -> Rows:
        x, y = _examples(model, "trees", plan, dataset, split)
        x = x.reshape(-1, x.shape[-1])
        chosen = np.sort(np.random.default_rng(0).permutation(len(x))[:MOST])
        return x[chosen], y.reshape(-1)[chosen], [False] * x.shape[-1]

    tables.fill_trees(model.get_layer("trees"), rows("train"), rows("validation"))
