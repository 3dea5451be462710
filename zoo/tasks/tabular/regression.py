"""Regression on the rows of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.tasks.tabular.base import TabularTask
from zoobase.errors import unknown

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

LOSSES = ("huber", "poisson")


@dataclass(frozen=True)
class Regression(TabularTask):
    """Regression of one number in its own unit."""

    # columns that give the position of a row in the season: the seasonal-naive baseline predicts the last value at the
    # same position before the test split. Empty if the rows are not ordered by time.
    season: tuple[str, ...] = ()
    unit: str = ""  # unit of the target, for figures
    # "huber" (1964, doi:10.1214/aoms/1177703732), delta one standard deviation; or "poisson", for models that return
    # the positive mean of counts
    loss: str = "huber"

    title = "regression"
    output = "prediction"
    output_meaning = "tensor"

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown loss."""
        if self.loss not in LOSSES:
            raise unknown("task.loss", self.loss, LOSSES)

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the columns and the target's mean and standard deviation."""
        target = info.statistics["target"]
        return super().model_args(info) | {"target": [target["mean"], target["deviation"]]}

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the loss of the task and MAE."""
        import keras

        deviation = info.statistics["target"]["deviation"]
        loss = keras.losses.Poisson() if self.loss == "poisson" else keras.losses.Huber(delta=deviation)
        return {"loss": loss, "metrics": [keras.metrics.MeanAbsoluteError(name="mae")]}

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean absolute error, coefficient of determination and root mean squared error."""
        from sklearn import metrics

        predicted = outputs[self.output].astype(np.float64)
        return {
            "mae": float(metrics.mean_absolute_error(truth, predicted)),
            "r2": float(metrics.r2_score(truth, predicted)),
            "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
        }

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with a seasonal-naive forecast, if there are seasons."""
        train, validation, test = (tabular.collect(dataset[name]) for name in ("train", "validation", evaluation.split))
        times, baselines = tabular.times(test), {}
        if self.season and evaluation.split == "test":
            target = self.target(dataset.info)
            history = {n: np.concatenate([train[n], validation[n]]) for n in train}
            last = dict(zip(zip(*(history[n] for n in self.season), strict=True), history[target], strict=True))
            mean = train[target].astype(np.float64).mean()
            naive = [last.get(position, mean) for position in zip(*(test[n] for n in self.season), strict=True)]
            baselines["seasonal naive"] = {self.output: np.array(naive)}
        return dataclasses.replace(evaluation, arrays={} if times is None else {"times": times}, baselines=baselines)

    def residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """Return the predicted minus the true number of each row (N,), float64."""
        return outputs[self.output].astype(np.float64) - truth

    @property
    def sequential(self) -> bool:
        """Whether the rows are in the order of time."""
        return bool(self.season)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield predicted against actual: over the rows in their order, and one against the other."""
        from zoo.evaluation import plots

        predicted = evaluation.outputs[self.output]
        name = evaluation.info.statistics["target"]["name"]
        label = f"{name} ({self.unit})" if self.unit else name
        yield (
            "predicted_and_actual",
            plots.over_time(evaluation.truth, predicted, label, evaluation.arrays.get("times")),
        )

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the predicted number."""
        value = float(outputs[self.output])
        name = info.statistics["target"]["name"]
        return Prediction(
            lines=(f"{name}: {value:.1f} {self.unit}".rstrip(),), rows=({"input": argument, name: round(value, 4)},)
        )
