"""Classification of the rows of a table into two or more classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoo.core.task import SplitEvaluation
from zoo.tasks.classifier import ClassifierTask, softmax
from zoo.tasks.tabular.base import TabularTask, arrays

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


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

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with gradient boosting and with the most frequent class, in one table."""
        from sklearn.dummy import DummyClassifier
        from sklearn.ensemble import HistGradientBoostingClassifier

        info, target = dataset.info, self.target(dataset.info)
        x, y, categories = arrays(tabular.collect(dataset["train"]), info, target)
        test_x, _, _ = arrays(tabular.collect(dataset[evaluation.split]), info, target)
        baselines = {
            "gradient boosting (scikit-learn)": HistGradientBoostingClassifier(
                categorical_features=categories, random_state=0
            ),
            "most frequent class": DummyClassifier(),
        }
        logits = {
            name: np.log(np.maximum(model.fit(x, y).predict_proba(test_x), 1e-300)) for name, model in baselines.items()
        }
        return dataclasses.replace(evaluation, baselines={name: {self.output: v} for name, v in logits.items()})

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix and the calibration curve."""
        from zoo.evaluation import plots

        probabilities, matrix = softmax(evaluation.outputs[self.output]), evaluation.metrics["confusion_matrix"]
        yield "confusion_matrix", plots.confusion_matrix(np.array(matrix), evaluation.info.class_names)
        correct = probabilities.argmax(axis=-1) == evaluation.truth
        yield "calibration", plots.calibration(probabilities.max(axis=-1), correct)
