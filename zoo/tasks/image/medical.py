"""Pictures of patients: the same models, judged as a doctor would. scikit-learn computes, we show.

Type I error: a healthy one is alarmed (1 - specificity). Type II error: an ill one is missed (1 - sensitivity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.errors import UsageError, unknown
from zoo.core.task import Evaluation
from zoo.tasks.classifier import softmax
from zoo.tasks.image.transfer_learning import TransferLearning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipelines.dataset import Info

ILL = ("melanoma", "malignant", "cancer", "positive", "tumor", "tumour", "disease", "abnormal", "pneumonia")
THRESHOLDS = (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class MedicalClassification(TransferLearning):
    """Classification with a stated positive class.

    Attributes:
        positive: Name of the class that must not be missed; "" takes the first whose name says so (melanoma, malignant,
            ...), else the last.
        sensitivity: For which the table also gives the threshold, in (0, 1].
    """

    balance: float = 1.0
    positive: str = ""
    sensitivity: float = 0.95

    title = "medical image classification"

    def __post_init__(self) -> None:
        """Raise UsageError for a sensitivity that none can have."""
        super().__post_init__()
        if not 0 < self.sensitivity <= 1:
            raise UsageError(f"task.sensitivity={self.sensitivity} is not usable: it must be in (0, 1]")

    def positive_class(self, info: Info) -> int:
        """Return the label of the positive class; UsageError where the stated one does not exist."""
        names = list(info.class_names)
        if self.positive:
            if self.positive not in names:
                raise unknown("task.positive", self.positive, names)
            return names.index(self.positive)
        told = [i for i, name in enumerate(names) if any(word in name.lower() for word in ILL)]
        return told[0] if told else len(names) - 1

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return what classification gives, and for the positive class against the rest what a doctor asks.

        "sensitivity" and "specificity" are of the threshold 0.5; "auc" and "average_precision" need none. They are
        left out where the split holds no positive, or nothing else.
        """
        from sklearn import metrics as judge

        plain = super().metrics(outputs, truth, info)
        probabilities = softmax(outputs["logits"].astype(np.float64))
        positive = self.positive_class(info)
        ill, chance = truth == positive, probabilities[:, positive]
        scores: dict[str, Any] = {}
        rows = [threshold_row(ill, chance, threshold) for threshold in THRESHOLDS]
        if ill.any() and not ill.all():
            scores["auc"] = float(judge.roc_auc_score(ill, chance))
            scores["average_precision"] = float(judge.average_precision_score(ill, chance))
            scores |= {k: rows[1][k] for k in ("sensitivity", "specificity")}
            rows.append(threshold_row(ill, chance, threshold_for(ill, chance, self.sensitivity)))
        for label, (_, row) in enumerate(plain["per_class"].items()):
            row |= _one_against_rest(truth == label, probabilities[:, label], probabilities.argmax(-1) == label)
        name = info.class_names[positive]
        return {
            "accuracy": plain.pop("accuracy"),
            **scores,
            **plain,
            "positive_class": name,
            "thresholds": rows,
            "errors": [in_words(name, row) for row in rows],
        }

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield what classification yields, ROC curves with their areas, and precision against recall."""
        from zoo.evaluation import plots

        yield from super().figures(evaluation)
        probabilities = softmax(evaluation.outputs["logits"].astype(np.float64))
        names, positive = evaluation.info.class_names, self.positive_class(evaluation.info)
        yield "roc", plots.roc(evaluation.truth, probabilities, names, positive)
        yield "precision_recall", plots.precision_recall(evaluation.truth, probabilities, names, positive)


def threshold_for(ill: np.ndarray, chance: np.ndarray, sensitivity: float) -> float:
    """Return the largest threshold at which at least `sensitivity` of the ill are found."""
    from sklearn import metrics as judge

    _, found, thresholds = judge.roc_curve(ill, chance, drop_intermediate=False)
    return float(min(1.0, thresholds[np.argmax(found >= sensitivity - 1e-12)]))


def threshold_row(ill: np.ndarray, chance: np.ndarray, threshold: float) -> dict[str, Any]:
    """Return what happens when everyone with at least this probability is called ill.

    Args:
        ill: Boolean (N,), the truth.
        chance: (N,), probability of the positive class.
        threshold: In [0, 1].
    """
    from sklearn import metrics as judge

    (cleared, raised), (missed, found) = judge.confusion_matrix(ill, chance >= threshold, labels=[False, True]).tolist()
    return {
        "threshold": threshold,
        "found": found,
        "missed": missed,
        "falsely_raised": raised,
        "rightly_cleared": cleared,
        "sensitivity": found / (found + missed) if found + missed else 0.0,
        "specificity": cleared / (cleared + raised) if cleared + raised else 0.0,
    }


def in_words(name: str, row: Mapping[str, Any]) -> str:
    """Return both kinds of error of one threshold as a sentence."""
    ill, healthy = row["found"] + row["missed"], row["falsely_raised"] + row["rightly_cleared"]
    return (
        f"at {row['threshold']:.3g}: {row['missed']} of {ill} {name} would be missed (type II error "
        f"{1 - row['sensitivity']:.1%}), {row['falsely_raised']} of {healthy} others falsely raised (type I error "
        f"{1 - row['specificity']:.1%})"
    )


def _one_against_rest(truth: np.ndarray, chance: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    from sklearn import metrics as judge

    told = {
        "sensitivity": float(judge.recall_score(truth, chosen, zero_division=0)),
        "specificity": float(judge.recall_score(~truth, ~chosen, zero_division=0)),
    }
    both = truth.any() and not truth.all()
    return told | {"auc": float(judge.roc_auc_score(truth, chance)) if both else None}
