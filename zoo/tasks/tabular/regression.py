"""Regression on the rows of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import tabular
from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation, Prediction
from zoo.tasks.tabular.base import TabularTask, arrays

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class Regression(TabularTask):
    """Regression of one number in its own unit.

    Attributes:
        season: Columns that give the position of a row in the season: the seasonal-naive baseline predicts the last
            value at the same position before the test split. Empty if the rows are not ordered by time.
        unit: Unit of the target, for figures.
    """

    season: tuple[str, ...] = ()
    unit: str = ""

    title = "regression"
    output = "prediction"
    output_meaning = "tensor"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the columns and the target's mean and standard deviation."""
        target = info.statistics["target"]
        return super().model_args(info) | {"target": [target["mean"], target["deviation"]]}

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with MAE and the Huber loss (1964, doi:10.1214/aoms/1177703732), delta one standard deviation."""
        import keras

        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        loss = keras.losses.Huber(delta=info.statistics["target"]["deviation"])
        mae = keras.metrics.MeanAbsoluteError(name="mae")
        model.compile(make_optimizer(recipe, steps), loss, metrics=[mae], jit_compile=False)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean absolute error, coefficient of determination and root mean squared error."""
        return _scores(outputs[self.output].astype(np.float64), truth)

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with gradient boosting and a seasonal-naive forecast, in one table."""
        compared = {"this model": dict(evaluation.metrics)} | self._baselines(dataset, evaluation.split)
        times = tabular.times(tabular.collect(dataset[evaluation.split]))
        dated = {} if times is None else {"times": times}
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, "compared": compared}, arrays=dated)

    def _baselines(self, dataset: Dataset, split: str) -> dict[str, dict[str, float]]:
        """Return the scores of gradient boosting (scikit-learn's defaults) and of the seasonal-naive forecast."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        info, target = dataset.info, self.target(dataset.info)
        train, test = tabular.collect(dataset.train), tabular.collect(dataset[split])
        x, y, categories = arrays(train, info, target)
        model = HistGradientBoostingRegressor(categorical_features=categories, random_state=0).fit(x, y)
        test_x, truth, _ = arrays(test, info, target)
        scores = {"gradient boosting": _scores(model.predict(test_x), truth)}
        if self.season and split == "test":
            parts = [train, tabular.collect(dataset.validation)]
            history = {n: np.concatenate([part[n] for part in parts]) for n in train}
            last = dict(zip(zip(*(history[n] for n in self.season), strict=True), history[target], strict=True))
            naive = [last.get(position, y.mean()) for position in zip(*(test[n] for n in self.season), strict=True)]
            scores["seasonal naive"] = _scores(np.array(naive), truth)
        return scores

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
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


def _scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    return {
        "mae": float(metrics.mean_absolute_error(truth, predicted)),
        "r2": float(metrics.r2_score(truth, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
    }
