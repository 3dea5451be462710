"""Yes or no from a row of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation, Prediction
from zoo.tasks.tabular.base import TabularTask

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class BinaryClassification(TabularTask):
    """Two classes; the model returns the probability of the second."""

    title = "binary classification"
    output = "probability"
    output_meaning = "tensor"

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with binary cross-entropy, smoothed by the recipe, accuracy and AUC."""
        import keras

        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(
            make_optimizer(recipe, steps),
            keras.losses.BinaryCrossentropy(label_smoothing=recipe.label_smoothing),
            metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.AUC(name="auc")],
            jit_compile=False,
        )

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return what `_judge` does, the confusion matrix, and precision and recall of the second class."""
        from sklearn import metrics as judge

        probability = outputs[self.output].astype(np.float64)
        found = (judge.precision_score, judge.recall_score)
        chosen = probability > 0.5
        return {
            **_judge(probability, truth),
            **{f.__name__.removesuffix("_score"): float(f(truth, chosen, zero_division=0.0)) for f in found},
            "confusion_matrix": judge.confusion_matrix(truth, chosen, labels=[0, 1]).tolist(),
        }

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with logistic regression and with the share of each class, in one table."""
        from sklearn.linear_model import LogisticRegression

        info = dataset.info
        (x, y), (wanted, truth) = (_features(dataset[split], info) for split in ("train", evaluation.split))
        fitted = LogisticRegression(max_iter=1000).fit(x, y)
        compared = {
            "this model": _judge(evaluation.outputs[self.output].astype(np.float64), evaluation.truth),
            "logistic regression (scikit-learn)": _judge(fitted.predict_proba(wanted)[:, 1], truth),
            "share of the class in training": _judge(np.full(len(truth), y.mean()), truth),
        }
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, "compared": compared})

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix, the ROC curve, and precision against recall."""
        from zoo.evaluation import plots

        names, second = evaluation.info.class_names, evaluation.outputs[self.output].astype(np.float64)
        probabilities, truth = np.stack([1 - second, second], 1), evaluation.truth.astype(np.int64)
        yield "confusion_matrix", plots.confusion_matrix(np.array(evaluation.metrics["confusion_matrix"]), names)
        yield "roc", plots.roc(truth, probabilities, names, positive=1)
        yield "precision_recall", plots.precision_recall(truth, probabilities, names, positive=1)

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the likelier class and the probability of the second."""
        chance = float(outputs[self.output])
        label = info.class_names[int(chance > 0.5)]
        return Prediction(
            lines=(f"{label}; {info.class_names[1]}: {chance:.1%}",),
            rows=({"input": question, "label": label, self.output: round(chance, 6)},),
        )


def _features(split: Any, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, features), numbers standardised as in training and categories one-hot, and the target (rows,)."""
    table, parts = tabular.collect(split), []
    for column in info.statistics["columns"]:
        values = table[column["name"]]
        if column["kind"] == "number":
            parts.append((values[:, None] - column["mean"]) / column["deviation"])
        else:
            parts.append(values[:, None] == np.array(column["vocabulary"], object))
    return np.concatenate(parts, 1).astype(np.float64), table[info.statistics["target"]["name"]].astype(np.float64)


def _judge(probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return accuracy at one half, the area under the ROC curve, and the log loss in nats.

    A split that holds one class only has no such area: it is left out.
    """
    from sklearn import metrics as judge

    told = {"accuracy": float(judge.accuracy_score(truth, probability > 0.5))}
    told |= {"auc": float(judge.roc_auc_score(truth, probability))} if 0 < truth.mean() < 1 else {}
    return told | {"log_loss": float(judge.log_loss(truth, probability, labels=[0, 1]))}
