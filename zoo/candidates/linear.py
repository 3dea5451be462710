"""Linear models as scikit-learn fits them; their weights become those of a `Dense` layer."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.feeding import Feed
from zoo.core.plan import Plan

BATCH = 256
LARGEST = 10_000  # training examples of which a linear model is fitted in seconds
FEW, FOLDS = 2000, 5  # below so many, the strength of the penalty is chosen by cross-validation, else on validation
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)  # `C` of the logistic regression of standardised features
SPARSE_STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of TF-IDF, which is not standardised
PENALTIES = np.logspace(-2, 5, 15)  # `alpha` of the ridge regression
ABSENT = -30.0  # logit of a class without training examples
FLAT = 1e-3  # of the mean variance, the least by which a feature is divided: one that hardly varies is not amplified

Fitted = tuple[np.ndarray, np.ndarray]  # kernel (F, outputs) and bias (outputs,)
Features = Callable[[Any], Any]  # the x of a batch -> (B, F)


def fit_dense(layer: keras.layers.Dense, features: Features, plan: Plan, dataset: Dataset, classes: int) -> None:
    """Fit the last layer of a model to its inputs: logistic regression of `classes`, or ridge regression if 0."""
    train = examples(features, plan.feed(dataset, "train"))
    if classes:
        validation = examples(features, plan.feed(dataset, "validation"))
        kernel, bias = logistic_regression(*train, classes, validation, has_groups(plan))
    else:
        kernel, bias = ridge_regression(*train)
    layer.set_weights([kernel, bias])


def has_groups(plan: Plan) -> bool:
    """Return whether examples that belong together would be in two folds of a cross-validation."""
    return bool(plan.task.sequential or getattr(plan.task, "groups", "") or splits.kept_together(plan.recipe.split))


def fit_constant(layer: keras.layers.Dense, plan: Plan, dataset: Dataset, classes: int) -> None:
    """Set the last layer of a model so that it answers the frequencies of the classes, or the median of the target."""
    y = np.concatenate([np.asarray(batch[1]) for batch in plan.feed(dataset, "train").batches(BATCH)])
    bias = np.array([np.median(y)])
    if classes:
        shares = np.bincount(y, minlength=classes) / len(y)
        bias = np.maximum(np.log(np.maximum(shares, 1e-300)), ABSENT)
    layer.set_weights([np.zeros(layer.kernel.shape), bias])


def fit_last(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    """Fit the last layer of a classifier, `logits`, by logistic regression on its inputs."""
    layer = model.get_layer("logits")
    body = keras.Model(model.input, layer.input)
    call = tf.function(lambda x: body(tf.cast(x, body.input.dtype), training=False), reduce_retracing=True)
    fit_dense(layer, call, plan, dataset, dataset.info.num_classes)


def fit_classes_alone(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    """Set the last layer of a classifier, `logits`, to the frequencies of the classes."""
    fit_constant(model.get_layer("logits"), plan, dataset, dataset.info.num_classes)


def examples(features: Features, feed: Feed, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (N, F) and the targets (N,) of a feed, or of `LARGEST` random examples of it."""
    batches, x, y, count = feed.batches(BATCH), [], [], 0
    if feed.count > LARGEST:
        batches = feed.epochs(BATCH, seed=0, stop=1)
    for inputs, targets, *_ in batches:
        x.append(np.asarray(features(inputs)))
        y.append(np.asarray(targets))
        count += len(y[-1])
        if count >= LARGEST:
            break
    return np.concatenate(x).astype(dtype), np.concatenate(y)


def logistic_regression(
    x: Any,
    y: np.ndarray,
    classes: int,
    validation: tuple[Any, np.ndarray],
    grouped: bool = False,
    strengths: Sequence[float] = STRENGTHS,
) -> Fitted:
    """Fit logistic regression whose strength has the lowest cross-entropy, in float64.

    Dense features (N, F) are standardised. The strength is chosen by stratified cross-validation of the training
    examples if these are few; on validation otherwise, and where examples of a group would be in two folds.
    """
    z, held, rotation = x, validation[0], None  # sparse features, which are not standardised
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if isinstance(x, np.ndarray):
        z, mean, scale = _standardised(x)
        z, rotation = _rotated(z)
        held = (held - mean) / scale if rotation is None else (held - mean) / scale @ rotation
    if len(np.unique(y)) < 2:
        kernel, bias = np.zeros((z.shape[1], classes)), np.full(classes, ABSENT)
        bias[int(y[0])] = 0.0
    else:
        folds = list(_folds(y)) if len(y) < FEW and not grouped else []
        parts = [(z[rest], y[rest], z[fold], y[fold]) for rest, fold in folds] or [(z, y, held, validation[1])]
        losses = np.concatenate([_losses(*part, classes, strengths) for part in parts], axis=1)
        (kernel, bias), *_ = _path(z, y, classes, [strengths[losses.mean(axis=1).argmin()]])
    return unscaled(kernel if rotation is None else rotation @ kernel, bias, mean, scale)


def ridge_regression(x: np.ndarray, y: np.ndarray) -> Fitted:
    """Fit ridge regression of (N,) or (N, outputs), with the least squared error when each example is left out."""
    from sklearn.linear_model import RidgeCV

    z, mean, scale = _standardised(x)
    y = y.reshape(len(y), -1)
    unit = np.where(y.std(axis=0) > 0, y.std(axis=0), 1.0)
    model = RidgeCV(PENALTIES).fit(z, (y - y.mean(axis=0)) / unit)
    kernel, bias = model.coef_.reshape(y.shape[1], -1).T * unit, model.intercept_ * unit + y.mean(axis=0)
    return unscaled(kernel, bias, mean, scale)


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each example (N,) in nats, of logits (N, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]


def _losses(
    z: Any, y: np.ndarray, held: Any, truth: np.ndarray, classes: int, strengths: Sequence[float]
) -> np.ndarray:
    """Return the cross-entropies of held examples (strengths, N)."""
    return np.stack([cross_entropy(held @ kernel + bias, truth) for kernel, bias in _path(z, y, classes, strengths)])


def _path(z: Any, y: np.ndarray, classes: int, strengths: Sequence[float]) -> Iterator[Fitted]:
    """Yield the fit of each strength, each of which starts at the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model, both = LogisticRegression(max_iter=300, warm_start=True), np.array([[-0.5], [0.5]])
    for strength in strengths:
        with warnings.catch_warnings(), threadpool_limits(1):  # on a busy machine threads wait for each other
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=strength).fit(z, y)
        kernel, bias = np.zeros((z.shape[1], classes)), np.full(classes, ABSENT)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # there is one logit
            coefficients, intercepts = both * coefficients, both[:, 0] * intercepts
        kernel[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
        yield kernel, bias


def _folds(y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    enough = np.bincount(y)[np.unique(y)].min() >= FOLDS
    return (StratifiedKFold if enough else KFold)(FOLDS, shuffle=True, random_state=0).split(y[:, None], y)


def _standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    variance = x.var(axis=0)
    mean, scale = x.mean(axis=0), np.sqrt(np.maximum(variance, FLAT * (variance.mean() or 1.0)))
    return (x - mean) / scale, mean, scale


def _rotated(z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return features in the space of the examples, if these are fewer: with an L2 penalty the fit is the same."""
    if z.shape[1] <= z.shape[0]:
        return z, None
    values, vectors = np.linalg.eigh(z @ z.T)
    kept = values > 1e-10 * values.max()
    root = np.sqrt(values[kept])
    return vectors[:, kept] * root, z.T @ vectors[:, kept] / root


def unscaled(kernel: np.ndarray, bias: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> Fitted:
    """Return the kernel and the bias for features that are not standardised, of those for standardised ones."""
    kernel = kernel / scale[:, None]
    return kernel, bias - mean @ kernel
