"""Medical image classification: transfer learning with medical metrics by scikit-learn.

Type I error: false positive (1 - specificity). Type II error: false negative (1 - sensitivity).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.errors import UsageError, unknown
from zoo.core.task import Evaluation
from zoo.tasks.classifier import softmax
from zoo.tasks.image.transfer_learning import TransferLearning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

POSITIVE_NAMES = ("melanoma", "malignant", "cancer", "positive", "tumor", "tumour", "disease", "abnormal", "pneumonia")
THRESHOLDS = (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class MedicalClassification(TransferLearning):
    """Classification with a stated positive class.

    Attributes:
        positive: Name of the positive class; "" is the first class with a name such as melanoma or malignant, else the
            last class.
        sensitivity: In (0, 1]: the table also has the threshold that reaches it on the validation split.
    """

    balance: float = 1.0
    positive: str = ""
    sensitivity: float = 0.95

    title = "medical image classification"

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid sensitivity."""
        super().__post_init__()
        if not 0 < self.sensitivity <= 1:
            raise UsageError(f"task.sensitivity={self.sensitivity} is not valid: it must be in (0, 1]")

    def positive_class(self, info: Info) -> int:
        """Return the label of the positive class; UsageError if `positive` is not a class."""
        names = list(info.class_names)
        if self.positive:
            if self.positive not in names:
                raise unknown("task.positive", self.positive, names)
            return names.index(self.positive)
        matches = [i for i, name in enumerate(names) if any(word in name.lower() for word in POSITIVE_NAMES)]
        return matches[0] if matches else len(names) - 1

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of classification, and medical metrics of the positive class against the rest.

        "sensitivity" and "specificity" are those of the threshold 0.5; "auc" and "average_precision" have no threshold.
        They are omitted if the split has no positives or no negatives.
        """
        from sklearn import metrics

        plain = super().metrics(outputs, truth, info)
        probabilities = softmax(outputs["logits"].astype(np.float64))
        positive = self.positive_class(info)
        is_positive, probability = truth == positive, probabilities[:, positive]
        scores: dict[str, Any] = {}
        rows = [threshold_row(is_positive, probability, threshold) for threshold in THRESHOLDS]
        if is_positive.any() and not is_positive.all():
            scores["auc"] = float(metrics.roc_auc_score(is_positive, probability))
            scores["average_precision"] = float(metrics.average_precision_score(is_positive, probability))
            scores |= {k: rows[1][k] for k in ("sensitivity", "specificity")}
        for label, (_, row) in enumerate(plain["per_class"].items()):
            row |= _one_against_rest(truth == label, probabilities[:, label], probabilities.argmax(-1) == label)
        name = info.class_names[positive]
        return {
            "accuracy": plain.pop("accuracy"),
            **scores,
            **plain,
            "positive_class": name,
            "thresholds": rows,
            "errors": [error_summary(name, row) for row in rows],
        }

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Add the threshold that has the stated sensitivity on the validation split, as it does on this one."""
        from zoo.evaluation import outputs

        evaluation = super().evaluate_extra(evaluation, contract, dataset, feed)
        validation = outputs.collect(contract["serving_default"], feed("validation"), dataset.info)
        return self.with_threshold(evaluation, validation.outputs, validation.truth)

    def with_threshold(
        self, evaluation: Evaluation, outputs: Mapping[str, np.ndarray], truth: np.ndarray
    ) -> Evaluation:
        """Return the evaluation with a row for the threshold chosen on other outputs and their truth.

        A threshold that is chosen on the split that reports it looks better than it is. Without positives or negatives
        in those outputs no threshold is chosen.
        """
        positive = self.positive_class(evaluation.info)
        if not (truth == positive).any() or (truth == positive).all():
            return evaluation
        threshold = threshold_for(
            truth == positive, softmax(outputs["logits"].astype(np.float64))[:, positive], self.sensitivity
        )
        probability = softmax(evaluation.outputs["logits"].astype(np.float64))[:, positive]
        row = threshold_row(evaluation.truth == positive, probability, threshold)
        metrics = dict(evaluation.metrics)
        metrics["thresholds"] = [*metrics["thresholds"], row]
        metrics["errors"] = [*metrics["errors"], error_summary(metrics["positive_class"], row)]
        return dataclasses.replace(evaluation, metrics=metrics)

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield what classification yields, ROC curves with their areas, and precision against recall."""
        from zoo.evaluation import plots

        yield from super().figures(evaluation)
        probabilities = softmax(evaluation.outputs["logits"].astype(np.float64))
        names, positive = evaluation.info.class_names, self.positive_class(evaluation.info)
        yield "roc", plots.roc(evaluation.truth, probabilities, names, positive)
        yield "precision_recall", plots.precision_recall(evaluation.truth, probabilities, names, positive)


def threshold_for(is_positive: np.ndarray, probability: np.ndarray, sensitivity: float) -> float:
    """Return the largest threshold with at least this sensitivity."""
    from sklearn import metrics

    _, true_positive_rate, thresholds = metrics.roc_curve(is_positive, probability, drop_intermediate=False)
    return float(min(1.0, thresholds[np.argmax(true_positive_rate >= sensitivity - 1e-12)]))


def threshold_row(is_positive: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, Any]:
    """Return the confusion counts of a threshold, with sensitivity and specificity.

    Args:
        is_positive: Truth, boolean (N,).
        probability: Probability of the positive class (N,).
        threshold: In [0, 1].
    """
    from sklearn import metrics

    matrix = metrics.confusion_matrix(is_positive, probability >= threshold, labels=[False, True]).tolist()
    (true_negatives, false_positives), (false_negatives, true_positives) = matrix
    positives, negatives = true_positives + false_negatives, true_negatives + false_positives
    return {
        "threshold": threshold,
        "found": true_positives,  # keys of evaluation.json
        "missed": false_negatives,
        "falsely_raised": false_positives,
        "rightly_cleared": true_negatives,
        "sensitivity": true_positives / positives if positives else 0.0,
        "specificity": true_negatives / negatives if negatives else 0.0,
    }


def error_summary(name: str, row: Mapping[str, Any]) -> str:
    """Return both kinds of error of one threshold as a sentence."""
    positives, negatives = row["found"] + row["missed"], row["falsely_raised"] + row["rightly_cleared"]
    return (
        f"threshold {row['threshold']:.3g}: {row['missed']} of {positives} {name} missed (type II error "
        f"{1 - row['sensitivity']:.1%}), {row['falsely_raised']} of {negatives} others falsely positive (type I error "
        f"{1 - row['specificity']:.1%})"
    )


def _one_against_rest(truth: np.ndarray, probability: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    scores = {
        "sensitivity": float(metrics.recall_score(truth, predicted, zero_division=0)),
        "specificity": float(metrics.recall_score(~truth, ~predicted, zero_division=0)),
    }
    both = truth.any() and not truth.all()
    return scores | {"auc": float(metrics.roc_auc_score(truth, probability)) if both else None}
