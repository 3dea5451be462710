"""Is LightGBM worth a candidate beside scikit-learn's boosting? python -m benchmarks.lightgbm_peer

Both are fitted to the same rows of the same random splits, with the same settings to choose from on validation, which
also ends the training; the test rows are looked at once. Needs `pip install lightgbm`. The last line counts the tables
on which either is better over the seeds.
"""

import csv
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import datasets

from benchmarks.candidates import ORANGE
from zoo.candidates.boosting import DEFAULT, ITERATIONS, LEAVES, PATIENCE, RATES, SEARCHED, fit_boosting

SEEDS = 5


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray, list[bool], int]]:
    """Yield name, inputs (rows, columns) with categories as ids, target, mask of categories, number of classes."""
    for name, classes in (("load_diabetes", 0), ("load_breast_cancer", 2), ("load_wine", 3), ("load_digits", 10)):
        x, y = getattr(datasets, name)(return_X_y=True)
        yield name, x, y, [False] * x.shape[1], classes
    wheel = ORANGE.fetched(lambda folder: {p.name: p.read_text(encoding="utf-8") for p in folder.rglob("*.tab")}).load()
    for name, classes in (("housing.tab", 0), ("brown-selected.tab", 3), ("heart_disease.tab", 2)):
        rows = list(csv.reader(wheel[name].splitlines(), delimiter="\t"))
        target = next(i for i, flag in enumerate(rows[2]) if "class" in flag)
        used = [i for i, flag in enumerate(rows[2]) if "meta" not in flag and i != target]
        cells = np.array([row for row in rows[3:] if row[target] not in ("", "?")], object)
        mask = [rows[1][i].startswith(("d", "0")) or " " in rows[1][i] for i in used]
        x = np.stack([_column(cells[:, i], is_category) for i, is_category in zip(used, mask, strict=True)], 1)
        yield name, x, _column(cells[:, target], bool(classes)), mask, classes


def _column(cells: np.ndarray, is_category: bool) -> np.ndarray:
    known = np.array([cell not in ("", "?", "NA") for cell in cells])
    values = np.full(len(cells), np.nan)
    words = sorted(set(cells[known]))
    values[known] = [words.index(c) if is_category else float(c) for c in cells[known]]
    return values


def lightgbm(train: Any, held: Any, mask: list[bool], classes: int) -> Any:
    """Return what LightGBM fitted, with the choices of `fit_boosting`: a classifier, or inputs -> numbers."""
    import lightgbm as engine

    (x, y), (held_x, held_y) = train, held
    seen = np.isin(held_y, y) if classes else np.ones(len(held_y), bool)
    held_x, held_y = held_x[seen], held_y[seen]
    columns: Any = [i for i, is_category in enumerate(mask) if is_category] or "auto"
    fixed = {"n_estimators": ITERATIONS, "random_state": 0, "n_jobs": 1, "verbose": -1}
    make = engine.LGBMClassifier if classes else engine.LGBMRegressor

    def fit(target: str, objective: str | None, leaves: int, rate: float) -> tuple[float, Any]:
        model = make(objective=objective, num_leaves=leaves, learning_rate=rate, **fixed)
        forward, back = (np.log1p, np.expm1) if target else (np.asarray, np.asarray)
        stop = engine.early_stopping(PATIENCE, verbose=False)
        held = [(held_x, forward(held_y))]
        model.fit(x, forward(y), eval_set=held, categorical_feature=columns, callbacks=[stop])
        if classes:
            loss = -np.log(np.maximum(model.predict_proba(held_x), 1e-300))[
                np.arange(len(held_y)), np.searchsorted(model.classes_, held_y)
            ].mean()
            return float(loss), model
        return float(np.abs(back(model.predict(held_x)) - held_y).mean()), lambda rows: back(model.predict(rows))

    kinds: list[tuple[str, str | None]] = [("", None)] if classes else [("", "regression"), ("", "regression_l1")]
    if not classes and min(y.min(), held_y.min()) >= 0 < y.sum():
        kinds += [("log1p", "regression"), ("", "poisson")]
    results = {kind: fit(*kind, *DEFAULT) for kind in kinds}
    kind = min(results, key=lambda kind: results[kind][0])
    others = itertools.product(LEAVES, RATES) if len(held_y) >= SEARCHED else []
    every = [results[kind], *(fit(*kind, *choice) for choice in others if choice != DEFAULT)]
    return min(every, key=lambda result: result[0])[1]


def main() -> None:
    """Print the mean test loss (log loss or mean absolute error) of both on each table, and of their difference."""
    better = {"scikit-learn": 0, "LightGBM": 0, "neither": 0}
    for name, x, y, mask, classes in tables():
        losses = []
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(y))[:5000]
            parts = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
            (tx, ty), (hx, hy), (x_test, y_test) = [(x[rows], y[rows]) for rows in parts]
            ours = fit_boosting((tx, ty, mask), (hx, hy, mask), classes)
            theirs = lightgbm((tx, ty), (hx, hy), mask, classes)
            if classes:
                logs = [
                    np.maximum(ours.log_probabilities(x_test, classes), np.log(1e-6)),
                    np.full((len(y_test), classes), np.log(1e-6)),
                ]
                logs[1][:, theirs.classes_.astype(int)] = np.log(np.maximum(theirs.predict_proba(x_test), 1e-6))
                losses.append([-rows[np.arange(len(y_test)), y_test.astype(int)].mean() for rows in logs])
            else:
                losses.append([np.abs(predict(x_test) - y_test).mean() for predict in (ours.predict, theirs)])
        means, difference = np.mean(losses, 0), np.diff(losses, axis=1)[:, 0]
        error = 2.78 * difference.std(ddof=1) / np.sqrt(SEEDS)  # Student's t with 4 degrees of freedom
        which = "neither" if abs(difference.mean()) < error else "scikit-learn" if difference.mean() > 0 else "LightGBM"
        better[which] += 1
        row = {"table": name, "rows": len(y), "scikit-learn": means[0], "LightGBM": means[1], "half_interval": error}
        print(
            json.dumps({k: round(float(v), 4) if isinstance(v, float) else v for k, v in row.items()}),
            which,
            flush=True,
        )
    print(json.dumps(better))


if __name__ == "__main__":
    main()
