"""Accuracy of `sentiment` by five-fold cross-validation in which each film is in one fold: film_folds.py [FOLDS].

Each fold trains the default recipe, `recurrent` (an LSTM beside the linear model) and a linear SVM on TF-IDF,
and predicts the sentences of the films that were left out. A tenth of the films of the others chooses the epoch. The
intervals are of 95 %, by films, because the sentences of a film are not independent.
"""

import json
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

import pipelines
from export.parity.intervals import jackknife
from pipelines.datasets.movie_reviews import CLASSES, SENTENCES
from pipelines.text import labelled
from zoo import train
from zoo.core.run_folder import RunFolder
from zoo.evaluation import outputs, text_baselines

FOLDS, VALIDATION = 5, 10
RECIPES = {"default": "linear", "recurrent": "linear and LSTM"}
ABOUT = {"name": "movie_reviews", "source": "folds by film", "split": "films", "licence": "", "homepage": ""}
BASELINE, MEAN = "linear SVM on TF-IDF", "mean of both logits"


def main(folds: int) -> None:
    """Print a row a fold, and the accuracies over all folds with the paired differences from the SVM."""
    _, rows = SENTENCES.load(None)
    rows = np.array(rows, dtype=object)
    correct: dict[str, np.ndarray] = {}
    for rest, test in divided(rows, folds):
        training, validation = next(divided(rows[rest], VALIDATION))
        parts = {"train": rows[rest][training], "validation": rows[rest][validation], "test": rows[test]}
        dataset = labelled.dataset(parts, CLASSES, **ABOUT)
        for name, values in predict(parts, dataset).items():
            correct.setdefault(name, np.zeros(len(rows)))[test] = values
        print(json.dumps({name: round(values[test].mean(), 4) for name, values in correct.items()}), flush=True)
    films = np.unique(rows[:, 2], return_inverse=True)[1]
    table = {
        name: {"accuracy": interval(values, films), "gain": interval(values - correct[BASELINE], films)}
        for name, values in correct.items()
    }
    print(json.dumps({"sentences": len(rows), "films": int(films.max()) + 1, **table}))


def divided(rows: np.ndarray, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices of the rows of all other folds, and of a fold; no film is in two folds."""
    return StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(rows, rows[:, 1], rows[:, 2])


def predict(parts: dict[str, np.ndarray], dataset: pipelines.Dataset) -> dict[str, np.ndarray]:
    """Return by candidate which sentences of the test are right: bool (N,)."""
    logits, truth = {}, np.array([CLASSES.index(row[1]) for row in parts["test"]])
    for recipe, name in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            options = {"precision": "float32", "export": False, "evaluate": False}
            train.run("sentiment", recipe=recipe, dataset=dataset, out=f"{folder}/run", **options)
            run = RunFolder.open(f"{folder}/run")
            evaluation = outputs.of_split(run.plan(), run.model(), run.dataset(dataset), "test")
            logits[name] = evaluation.outputs["logits"]
    logits[MEAN] = sum(logits.values()) / len(RECIPES)
    svm = text_baselines.fit_tfidf(parts["train"][:, 0], [CLASSES.index(row[1]) for row in parts["train"]])
    predicted = {name: values.argmax(axis=-1) for name, values in logits.items()}
    return {name: ids == truth for name, ids in ({BASELINE: svm.predict(parts["test"][:, 0])} | predicted).items()}


def interval(values: np.ndarray, films: np.ndarray) -> list[float]:
    """Return the mean of values (N,) and the ends of its interval, which leaves out whole films."""
    mean, margin = values.mean(), jackknife(lambda kept: values[kept].mean(), len(values), groups=films).margin
    return [round(float(x), 4) for x in (mean, mean - margin, mean + margin)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FOLDS)
