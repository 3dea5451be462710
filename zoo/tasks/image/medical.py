"""Medical image classification: transfer learning with medical metrics by scikit-learn.

Type I error: false positive (1 - specificity). Type II error: false negative (1 - sensitivity).
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.parity.intervals import jackknife
from zoo.core.task import SplitEvaluation
from zoo.evaluation.intervals import interval
from zoo.tasks.classifier import softmax
from zoo.tasks.image.transfer_learning import TransferLearning
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

POSITIVE_NAMES = ("melanoma", "malignant", "cancer", "positive", "tumor", "tumour", "disease", "abnormal", "pneumonia")
SECOND_NAMES = ("keratosis",)
THRESHOLDS = (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class MedicalClassification(TransferLearning):
    """Classification with a stated positive class."""

    balance: float = 1.0
    # name of the positive class; "" is the first class with a name such as melanoma or malignant, else the last class
    positive: str = ""
    # name of a second class with an area under the ROC curve of its own, as in the ISIC challenge of 2017 (melanoma,
    # and seborrheic keratosis); "" is the first other class with such a name, if there is one
    second: str = ""
    sensitivity: float = 0.95  # in (0, 1]: the table also has the threshold that reaches it on the validation split

    title = "medical image classification"

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid sensitivity."""
        super().__post_init__()
        if not 0 < self.sensitivity <= 1:
            raise UsageError(f"task.sensitivity={self.sensitivity} is not valid: it must be in (0, 1]")

    def positive_class(self, info: Info) -> int:
        """Return the label of the positive class; UsageError if `positive` is not a class."""
        label = _named_class("positive", self.positive, POSITIVE_NAMES, info)
        return len(info.class_names) - 1 if label is None else label

    def second_class(self, info: Info) -> int | None:
        """Return the label of the second class, None if there is none; UsageError if `second` is not a class."""
        label = _named_class("second", self.second, SECOND_NAMES, info)
        if label == self.positive_class(info):
            if self.second:
                raise UsageError(f"task.second={self.second} is the positive class: name another one, or omit it")
            return None
        return label

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of classification, and medical metrics of the positive class against the rest."""
        # "auc_second" is that of the second class, "auc_mean" the mean of both, which is the score of the ISIC
        # challenge. "sensitivity" and "specificity" are those of the threshold 0.5; "auc" and "average_precision" have
        # no threshold. They are omitted if the split has no positives or no negatives.
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
            scores |= self._second_auc(scores["auc"], probabilities, truth, info)
        for label, (_, row) in enumerate(plain["per_class"].items()):
            is_class, chosen = truth == label, probabilities.argmax(-1) == label
            both = is_class.any() and not is_class.all()
            row["sensitivity"] = float(metrics.recall_score(is_class, chosen, zero_division=0))
            row["specificity"] = float(metrics.recall_score(~is_class, ~chosen, zero_division=0))
            row["auc"] = float(metrics.roc_auc_score(is_class, probabilities[:, label])) if both else None
        name = info.class_names[positive]
        return {
            "accuracy": plain.pop("accuracy"),
            **scores,
            **plain,
            "positive_class": name,
            "thresholds": rows,
            "errors": [error_summary(name, row) for row in rows],
        }

    def _second_auc(self, auc: float, probabilities: np.ndarray, truth: np.ndarray, info: Info) -> dict[str, float]:
        """Return the area of the second class and the mean of both; {} if they are not defined."""
        from sklearn import metrics

        second = self.second_class(info)
        if second is None or not (truth == second).any():
            return {}
        other = float(metrics.roc_auc_score(truth == second, probabilities[:, second]))
        return {"auc_second": other, "auc_mean": (auc + other) / 2}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the threshold that has the stated sensitivity on the validation split, as it does on this one."""
        # And the files of the images, for `result_files`.
        from zoo.evaluation import outputs

        evaluation = super().evaluate_extra(evaluation, contract, dataset, feed)
        if "file" in dataset.info.features:
            files = [row["file"].decode() for row in dataset[evaluation.split].as_numpy_iterator()]
            evaluation = dataclasses.replace(evaluation, arrays={**evaluation.arrays, "file": np.array(files, object)})
        validation = outputs.collect(contract["serving_default"], feed("validation"), dataset.info)
        return self.with_threshold(evaluation, validation.outputs, validation.truth)

    def with_threshold(
        self, evaluation: SplitEvaluation, outputs: Mapping[str, np.ndarray], truth: np.ndarray
    ) -> SplitEvaluation:
        """Return the evaluation with a row for the threshold chosen on other outputs and their truth."""
        # A threshold that is chosen on the split that reports it looks better than it is. Without positives or
        # negatives in those outputs no threshold is chosen.
        positive, groups = self.positive_class(evaluation.info), evaluation.groups
        is_positive = evaluation.truth == positive
        probability = softmax(evaluation.outputs["logits"].astype(np.float64))[:, positive]
        metrics = dict(evaluation.metrics)
        if groups is not None:
            rows = [threshold_row(is_positive, probability, row["threshold"], groups) for row in metrics["thresholds"]]
            metrics |= {"thresholds": rows, "errors": [error_summary(metrics["positive_class"], row) for row in rows]}
            evaluation = dataclasses.replace(evaluation, metrics=metrics)
        if not (truth == positive).any() or (truth == positive).all():
            return evaluation
        threshold = threshold_for(
            truth == positive, softmax(outputs["logits"].astype(np.float64))[:, positive], self.sensitivity
        )
        row = threshold_row(is_positive, probability, threshold, groups)
        metrics["thresholds"] = [*metrics["thresholds"], row]
        metrics["errors"] = [*metrics["errors"], error_summary(metrics["positive_class"], row)]
        return dataclasses.replace(evaluation, metrics=metrics)

    def result_files(self, evaluation: SplitEvaluation) -> Mapping[str, bytes]:
        """Return results.csv, in the form of the ISIC challenge: the probabilities of the positive and second class."""
        probabilities = softmax(evaluation.outputs["logits"].astype(np.float64))
        labels = [self.positive_class(evaluation.info), self.second_class(evaluation.info)]
        columns = [probabilities[:, label] for label in labels if label is not None]
        ids = evaluation.arrays.get("file", range(len(probabilities)))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["Id", *(f"task_{i + 1}" for i in range(len(columns)))])
        writer.writerows([name, *(f"{p:.6f}" for p in row)] for name, *row in zip(ids, *columns, strict=True))
        return {"results.csv": text.getvalue().encode()}

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield what classification yields, ROC curves with their areas, and precision against recall."""
        from zoo.evaluation import plots

        yield from super().figures(evaluation)
        probabilities = softmax(evaluation.outputs["logits"].astype(np.float64))
        names, positive = evaluation.info.class_names, self.positive_class(evaluation.info)
        yield "roc", plots.roc(evaluation.truth, probabilities, names, positive)
        yield "precision_recall", plots.precision_recall(evaluation.truth, probabilities, names, positive)


def _named_class(field: str, name: str, usual: tuple[str, ...], info: Info) -> int | None:
    """Return the label of the class `name`, or of the first one with a usual name; None if there is none."""
    names = list(info.class_names)
    if name:
        if name not in names:
            raise unknown(f"task.{field}", name, names)
        return names.index(name)
    return next((i for i, other in enumerate(names) if any(word in other.lower() for word in usual)), None)


def threshold_for(is_positive: np.ndarray, probability: np.ndarray, sensitivity: float) -> float:
    """Return the largest threshold with at least this sensitivity."""
    from sklearn import metrics

    _, true_positive_rate, thresholds = metrics.roc_curve(is_positive, probability, drop_intermediate=False)
    return float(min(1.0, thresholds[np.argmax(true_positive_rate >= sensitivity - 1e-12)]))


def threshold_row(
    is_positive: np.ndarray, probability: np.ndarray, threshold: float, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the confusion counts of a threshold, with sensitivity and specificity and their 95 % intervals."""
    # The intervals are exact (Clopper, Pearson 1934, doi:10.1093/biomet/26.4.404), or leave out groups (N,).
    from sklearn import metrics

    matrix = metrics.confusion_matrix(is_positive, probability >= threshold, labels=[False, True]).tolist()
    (true_negatives, false_positives), (false_negatives, true_positives) = matrix
    positives, negatives = true_positives + false_negatives, true_negatives + false_positives

    def interval_of(examples: np.ndarray) -> list[float]:
        right = ((probability >= threshold) == is_positive)[examples]
        if groups is None or not len(right):
            return _exact_interval(int(right.sum()), len(right))
        number = len(np.unique(groups[examples]))
        result = jackknife(lambda kept: right[kept].mean(), len(right), groups=groups[examples])
        own = (float(right.mean()), float(result.error), float(result.quantile), len(right), number)
        return interval("sensitivity", *own) if number > 1 else [0.0, 1.0]

    return {
        "threshold": threshold,
        "found": true_positives,  # keys of evaluation.json
        "missed": false_negatives,
        "falsely_raised": false_positives,
        "rightly_cleared": true_negatives,
        "sensitivity": true_positives / positives if positives else 0.0,
        "sensitivity_interval": interval_of(is_positive),
        "specificity": true_negatives / negatives if negatives else 0.0,
        "specificity_interval": interval_of(~is_positive),
    }


def _exact_interval(count: int, of: int) -> list[float]:
    """Return the ends of the 95 % interval of a share."""
    from scipy.stats import binomtest

    if not of:
        return [0.0, 1.0]
    interval = binomtest(count, of).proportion_ci(0.95, "exact")
    return [float(interval.low), float(interval.high)]


def error_summary(name: str, row: Mapping[str, Any]) -> str:
    """Return both kinds of error of one threshold as a sentence."""
    positives, negatives = row["found"] + row["missed"], row["falsely_raised"] + row["rightly_cleared"]
    (worst, _), (least, _) = row["sensitivity_interval"], row["specificity_interval"]
    return (
        f"threshold {row['threshold']:.3g}: {row['missed']} of {positives} {name} missed (type II error "
        f"{1 - row['sensitivity']:.1%}, at most {1 - worst:.1%}), {row['falsely_raised']} of {negatives} others "
        f"falsely positive (type I error {1 - row['specificity']:.1%}, at most {1 - least:.1%})"
    )
