"""Gradient boosting as its users fit it."""

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.sources import storage

Rows = tuple[np.ndarray, np.ndarray, list[bool]]  # of `zoo.candidates.tables.arrays`

CATEGORIES = 254  # that a histogram of scikit-learn can have beside the missing one: the most frequent are kept
SEARCHED = 200  # validation rows from which settings are searched: with fewer the best one is luck
ITERATIONS, PATIENCE = 1000, 20
LEAVES, RATES = (8, 31, 63), (0.1, 0.03)
DEFAULT = (31, 0.1)  # leaves and learning rate of scikit-learn
LONGEST, LEAST = 30.0, 20  # seconds of a fit, by which iterations are bounded, and iterations that are always possible


@dataclass(frozen=True)
class Boosting:
    """Fitted gradient boosting."""

    model: Any  # a regressor or classifier of scikit-learn
    ids: dict[int, np.ndarray]  # number of a column -> ids of the categories that are kept, the most frequent first
    target: str  # "" or "log1p": the transform of the target that the model has learned
    settings: dict[str, Any]  # that were chosen on validation

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the predicted numbers (rows,) in the unit of the target."""
        with _one_thread():
            predicted = self.model.predict(_encoded(x, self.ids))
        return np.expm1(predicted) if self.target else predicted

    def log_probabilities(self, x: np.ndarray, classes: int) -> np.ndarray:
        """Return the logarithms of the probabilities of the classes (rows, classes); one never seen has 1e-300."""
        probabilities = np.zeros((len(x), classes))
        with _one_thread():
            probabilities[:, self.model.classes_.astype(int)] = self.model.predict_proba(_encoded(x, self.ids))
        return np.log(np.maximum(probabilities, 1e-300))


def fit_boosting(train: Rows, validation: Rows, classes: int = 0) -> Boosting:
    """Fit histogram gradient boosting (Ke 2017), whose settings are chosen on validation rows, which also end it."""
    # Of a regression, loss and transform of the target come first, by the mean absolute error: squared, absolute and,
    # without negative targets, Poisson and squared on log1p. From `SEARCHED` validation rows on, leaves and learning
    # rate are searched, of classes by the log loss; not the lower rate where trees are many or slow.
    from sklearn import ensemble

    (x, y, categories), (held_x, held_y, _) = train, validation
    ids = {i: _frequent(x[:, i]) for i, is_category in enumerate(categories) if is_category}
    if classes:  # the early stopping of scikit-learn has no place for a class that was not in training
        seen = np.isin(held_y, y)
        held_x, held_y = held_x[seen], held_y[seen]
    x, held_x = _encoded(x, ids), _encoded(held_x, ids)
    make = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor

    most, start = most_iterations(*x.shape, classes), time.monotonic()
    if most < ITERATIONS:
        storage.log.info(
            "gradient boosting: at most %s iterations, of %s trees, up to %g s each fit", most, classes or 1, LONGEST
        )

    def fit(target: str, **settings: Any) -> tuple[float, Boosting]:
        fixed = {"max_iter": most, "n_iter_no_change": PATIENCE, "early_stopping": True, "random_state": 0}
        model = make(categorical_features=categories, **fixed, **settings)
        forward = np.log1p if target else np.asarray
        with _one_thread():
            model.fit(x, forward(y), X_val=held_x, y_val=forward(held_y))
        boosting = Boosting(model, ids, target, settings)
        if classes:
            log_probabilities = boosting.log_probabilities(held_x, classes)
            return -float(log_probabilities[np.arange(len(held_y)), held_y.astype(int)].mean()), boosting
        return float(np.abs(boosting.predict(held_x) - held_y).mean()), boosting

    kinds = [("", "log_loss")] if classes else [("", "squared_error"), ("", "absolute_error")]
    if not classes and min(y.min(), held_y.min()) >= 0 < y.sum():
        kinds += [("log1p", "squared_error"), ("", "poisson")]
    results = [fit(target, loss=loss) for target, loss in kinds]
    target, loss = kinds[min(range(len(kinds)), key=lambda i: results[i][0])]
    if len(held_y) >= SEARCHED:
        searched = [s for s in itertools.product(LEAVES, RATES if most == ITERATIONS else RATES[:1]) if s != DEFAULT]
        results += [fit(target, loss=loss, max_leaf_nodes=leaves, learning_rate=rate) for leaves, rate in searched]
    storage.log.info("gradient boosting: %s fits, %.1f s", len(results), time.monotonic() - start)
    return min(results, key=lambda result: result[0])[1]


def most_iterations(rows: int, columns: int, classes: int) -> int:
    """Return how many iterations a fit has at most: those of `LONGEST` seconds, by the time of trees on one core."""
    # of 31 leaves; measured for 2,000 to 200,000 rows and 10 to 40 columns: 2.5 to 27 ms, within 40 % of this
    seconds = 4e-9 * (rows + 25_000) * (columns + 20) * (classes if classes > 2 else 1)
    return int(np.clip(LONGEST / seconds, LEAST, ITERATIONS))


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """Return a context without parallel loops: on a busy machine their threads wait for each other, for minutes."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp")


def _frequent(ids: np.ndarray) -> np.ndarray:
    """Return the most frequent ids of a column with NaN, the most frequent first, int64."""
    values, counts = np.unique(ids[~np.isnan(ids)].astype(np.int64), return_counts=True)
    return values[np.argsort(-counts, kind="stable")][:CATEGORIES]


def _encoded(x: np.ndarray, ids: dict[int, np.ndarray]) -> np.ndarray:
    """Return the inputs with the categories of some columns as their places among those kept; NaN for others."""
    x = x.copy()
    for i, kept in ids.items():
        places = np.full(int(max(kept.max(initial=0), np.nanmax(x[:, i], initial=0))) + 1, np.nan)
        places[kept] = np.arange(len(kept))
        x[:, i] = np.where(np.isnan(x[:, i]), np.nan, places[np.nan_to_num(x[:, i]).astype(np.int64)])
    return x
