"""Base class of classification tasks: logits over classes, integer labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, SplitEvaluation

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from pipelines.dataset import Info


RARE = 0.1  # share of the examples below which one of two classes has metrics of its own


class ClassifierTask(BaseTask):
    """Single-label classification; the model returns `logits` (B, classes)."""

    supports = frozenset({"label_smoothing"})
    counts_examples = True
    monitor = "val_cross_entropy"  # val_loss has the label smoothing and the penalties of the recipe

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return cross-entropy on logits, with the recipe's label smoothing, and accuracy."""
        from zoo.modeling.losses import SparseCategoricalCrossentropy
        from zoo.modeling.metrics import Accuracy, CrossEntropy

        return {"loss": SparseCategoricalCrossentropy(recipe.label_smoothing), "metrics": [Accuracy(), CrossEntropy()]}

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return accuracy, top-k accuracy, loss, calibration error, macro averages, and metrics per class."""
        from sklearn import metrics

        logits = outputs["logits"].astype(np.float64)
        probabilities = softmax(logits)
        predicted = logits.argmax(axis=-1)
        labels = np.arange(logits.shape[-1])
        precision, recall, f1, support = metrics.precision_recall_fscore_support(
            truth, predicted, labels=labels, zero_division=0
        )
        names = info.class_names or [str(i) for i in labels]
        top = {
            f"top_{k}_accuracy": float(metrics.top_k_accuracy_score(truth, probabilities, k=k, labels=labels))
            for k in (3, 5)
            if k < len(labels)
        }
        matrix = metrics.confusion_matrix(truth, predicted, labels=labels)
        rare, of_rare = int(support.argmin()), {}
        if len(labels) == 2 and 0 < support[rare] < RARE * len(truth):  # accuracy says little about it
            of_rare = {
                "average_precision": float(metrics.average_precision_score(truth == rare, probabilities[:, rare])),
                "recall": float(recall[rare]),
                "auc": float(metrics.roc_auc_score(truth == rare, probabilities[:, rare])),
            }
        return {
            "accuracy": float(np.mean(predicted == truth)),
            **of_rare,
            **top,
            "loss": float(-np.mean(np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-300)))),
            "expected_calibration_error": calibration_error(probabilities, truth),
            "f1_macro": float(f1.mean()),
            "per_class": {
                name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
                for name, p, r, f, s in zip(names, precision, recall, f1, support, strict=True)
            },
            "confusion_matrix": matrix.tolist(),
            "most_confused": most_confused(matrix, names),
        }

    def probabilities(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the probabilities of the classes (N, classes), float64."""
        return softmax(outputs["logits"].astype(np.float64))

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix."""
        from zoo.evaluation import plots

        matrix = np.array(evaluation.metrics["confusion_matrix"])
        yield "confusion_matrix", plots.confusion_matrix(matrix, evaluation.info.class_names or ())

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the `top_k` classes with their probabilities."""
        probabilities = softmax(outputs["logits"])
        names = info.class_names or [str(i) for i in range(len(probabilities))]
        best = np.argsort(-probabilities, kind="stable")[: max(1, top_k)]
        rows = tuple(
            {"input": argument, "rank": rank, "label": names[i], "probability": round(float(probabilities[i]), 6)}
            for rank, i in enumerate(best, start=1)
        )
        return Prediction(lines=tuple(f"{r['probability']:7.2%}  {r['label']}" for r in rows), rows=rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def most_confused(matrix: np.ndarray, names: Sequence[str], limit: int = 20) -> list[dict[str, Any]]:
    """Return the most frequently confused pairs of classes, in order: {"true", "predicted", "count"}."""
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(index), len(names)) for index in order]
    return [{"true": names[i], "predicted": names[j], "count": int(errors[i, j])} for i, j in pairs if errors[i, j]]


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error (Guo 2017, arXiv:1706.04599) over equal-width confidence bins."""
    confidence = probabilities.max(axis=-1)
    correct = probabilities.argmax(axis=-1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (index == b).mean() * abs(correct[index == b].mean() - confidence[index == b].mean())
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))
