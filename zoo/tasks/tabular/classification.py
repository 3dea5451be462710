"""Classification of the rows of a table into two or more classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.core.task import SplitEvaluation
from zoo.tasks.classifier import ClassifierTask, softmax
from zoo.tasks.tabular.base import TabularTask

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Info


@dataclass(frozen=True)
class TabularClassification(TabularTask, ClassifierTask):
    """Classes of the rows of a table; the model returns logits, and the target is a class number."""

    title = "classification of table rows"
    output = "logits"
    output_meaning = "logits"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the columns and the number of classes."""
        return super().model_args(info) | {"num_classes": info.num_classes}

    def output_shape(self, info: Info) -> tuple[int | None, ...]:
        """Return the shape of the logits."""
        return (None, info.num_classes)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return the endpoints of a table, with the names of the classes."""
        return dataclasses.replace(super().contract(served, info), labels=info.class_names)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix and the calibration curve."""
        from zoo.evaluation import plots

        yield from super().figures(evaluation)
        probabilities = softmax(evaluation.outputs[self.output])
        correct = probabilities.argmax(axis=-1) == evaluation.truth
        yield "calibration", plots.calibration(probabilities.max(axis=-1), correct)
