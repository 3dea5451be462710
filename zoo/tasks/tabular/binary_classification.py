"""Binary classification of the rows of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, Prediction, SplitEvaluation
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
    counts_examples = True
    supports = frozenset({"label_smoothing"})
    monitor = "val_cross_entropy"  # val_loss has the label smoothing and the penalties of the recipe
    output = "probability"
    output_meaning = "tensor"

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return binary cross-entropy, with the recipe's label smoothing, and accuracy and AUC."""
        import keras

        return {
            "loss": keras.losses.BinaryCrossentropy(label_smoothing=recipe.label_smoothing),
            "metrics": [
                keras.metrics.BinaryAccuracy(name="accuracy"),
                keras.metrics.AUC(name="auc"),
                keras.metrics.BinaryCrossentropy(name="cross_entropy"),
            ],
        }

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return accuracy, AUC, log loss, precision and recall of the second class, and the confusion matrix."""
        from sklearn import metrics

        probability = outputs[self.output].astype(np.float64)
        predicted = probability > 0.5
        return {
            **_scores(probability, truth),
            "precision": float(metrics.precision_score(truth, predicted, zero_division=0.0)),
            "recall": float(metrics.recall_score(truth, predicted, zero_division=0.0)),
            "confusion_matrix": metrics.confusion_matrix(truth, predicted, labels=[0, 1]).tolist(),
        }

    def candidates(self, info: Info) -> dict[str, Candidate]:
        """Return none: the baselines of `evaluate_extra` return a probability, as the model does."""
        return {}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with logistic regression, gradient boosting and the class frequencies, in one table."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression

        info = dataset.info
        (x, y), (test_x, _) = (_features(dataset[split], info) for split in ("train", evaluation.split))
        baselines = {
            "logistic regression (scikit-learn)": LogisticRegression(max_iter=1000),
            "gradient boosting (scikit-learn)": HistGradientBoostingClassifier(random_state=0),
        }
        probabilities = {name: model.fit(x, y).predict_proba(test_x)[:, 1] for name, model in baselines.items()}
        probabilities["share of the class in training"] = np.full(len(test_x), y.mean())
        return dataclasses.replace(evaluation, baselines={k: {self.output: v} for k, v in probabilities.items()})

    def probabilities(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the probabilities of both classes (N, 2), float64."""
        second = outputs[self.output].astype(np.float64)
        return np.stack([1 - second, second], axis=-1)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix, the ROC curve, and precision against recall."""
        from zoo.evaluation import plots

        names, truth = evaluation.info.class_names, evaluation.truth.astype(np.int64)
        probabilities = self.probabilities(evaluation.outputs)
        yield "confusion_matrix", plots.confusion_matrix(np.array(evaluation.metrics["confusion_matrix"]), names)
        yield "roc", plots.roc(truth, probabilities, names, positive=1)
        yield "precision_recall", plots.precision_recall(truth, probabilities, names, positive=1)

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the more probable class and the probability of the second."""
        probability = float(outputs[self.output])
        label = info.class_names[int(probability > 0.5)]
        return Prediction(
            lines=(f"{label}; {info.class_names[1]}: {probability:.1%}",),
            rows=({"input": argument, "label": label, self.output: round(probability, 6)},),
        )


def _features(split: Any, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, features), with standardised numbers and one-hot categories, and the target (rows,)."""
    table, parts = tabular.collect(split), []
    for column in info.statistics["columns"]:
        values = table[column["name"]]
        if column["kind"] == "number":
            parts.append((values[:, None] - column["mean"]) / column["deviation"])
        else:
            parts.append(values[:, None] == np.array(column["vocabulary"], object))
    return np.concatenate(parts, 1).astype(np.float64), table[info.statistics["target"]["name"]].astype(np.float64)


def _scores(probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return accuracy at the threshold 0.5, the area under the ROC curve, and the log loss in nats."""
    # The area is omitted if the split has one class only.
    from sklearn import metrics

    scores = {"accuracy": float(metrics.accuracy_score(truth, probability > 0.5))}
    scores |= {"auc": float(metrics.roc_auc_score(truth, probability))} if 0 < truth.mean() < 1 else {}
    return scores | {"log_loss": float(metrics.log_loss(truth, probability, labels=[0, 1]))}
