"""A number from a row of a table."""

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
    """Regression of one number, in its own unit; rows that are in the order of time.

    Attributes:
        season: Columns that say where in the season a row is: the seasonal-naive baseline answers with the last row in
            the same place before the test. Empty where the rows have no order.
        unit: Of the target, for pictures.
    """

    season: tuple[str, ...] = ()
    unit: str = ""

    title = "regression"
    output = "prediction"
    output_meaning = "tensor"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the columns and the target's mean and deviation."""
        target = info.statistics["target"]
        return super().model_args(info) | {"target": [target["mean"], target["deviation"]]}

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with the Huber loss (1964, doi:10.1214/aoms/1177703732), which bends at one deviation, and MAE."""
        import keras

        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        loss = keras.losses.Huber(delta=info.statistics["target"]["deviation"])
        mae = keras.metrics.MeanAbsoluteError(name="mae")
        model.compile(make_optimizer(recipe, steps), loss, metrics=[mae], jit_compile=False)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the mean absolute error, the coefficient of determination, and the root of the mean squared error."""
        return _judge(outputs[self.output].astype(np.float64), truth)

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with gradient boosting and with the season's last value, in one table."""
        compared = {"this model": dict(evaluation.metrics)} | self._baselines(dataset, evaluation.split)
        times = tabular.times(tabular.collect(dataset[evaluation.split]))
        dated = {} if times is None else {"times": times}
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, "compared": compared}, arrays=dated)

    def _baselines(self, dataset: Dataset, split: str) -> dict[str, dict[str, float]]:
        """Return what gradient boosting (scikit-learn's defaults) and the season's last value reach."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        info, target = dataset.info, self.target(dataset.info)
        train, asked = tabular.collect(dataset.train), tabular.collect(dataset[split])
        x, y, categories = arrays(train, info, target)
        model = HistGradientBoostingRegressor(categorical_features=categories, random_state=0).fit(x, y)
        wanted, truth, _ = arrays(asked, info, target)
        found = {"gradient boosting": _judge(model.predict(wanted), truth)}
        if self.season and split == "test":
            known = [train, tabular.collect(dataset.validation)]
            before = {n: np.concatenate([part[n] for part in known]) for n in train}
            last = dict(zip(zip(*(before[n] for n in self.season), strict=True), before[target], strict=True))
            naive = [last.get(place, y.mean()) for place in zip(*(asked[n] for n in self.season), strict=True)]
            found["seasonal naive"] = _judge(np.array(naive), truth)
        return found

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

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the number."""
        value = float(outputs[self.output])
        name = info.statistics["target"]["name"]
        return Prediction(
            lines=(f"{name}: {value:.1f} {self.unit}".rstrip(),), rows=({"input": question, name: round(value, 4)},)
        )


def _judge(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    return {
        "mae": float(metrics.mean_absolute_error(truth, predicted)),
        "r2": float(metrics.r2_score(truth, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
    }
