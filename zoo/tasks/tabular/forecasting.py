"""Forecasts of the next rows of a time series."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines import series, tabular
from pipelines.dataset import Dataset, Info
from pipelines.series import Grid
from pipelines.sources import storage
from zoo.core.recipe import Recipe, split
from zoo.core.task import BaseTask, Candidate, Prediction, Query, SplitEvaluation
from zoobase.errors import USAGE, DataError, UsageError, unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.feeding import Feed

PARTS = ("train", "validation", "test")
MOST_VALUES = 30  # of a known column that is no number


@dataclass(frozen=True)
class Forecasting(BaseTask):
    """The next `horizon` rows of one series, from the last `history` ones and from what is known ahead.

    Training, validation and test follow each other in time; each window of `horizon` rows of a split is an example
    (rolling origins), whose history may reach into the split before. Gaps are interpolated.
    """

    target_column: str = ""  # the column to forecast; empty is the last one
    time: str = ""  # the column of times; empty is the first one with dates
    known: str = ""  # columns that are known ahead, such as "holiday,price". The day, the week and the year always are.
    horizon: int = 14  # rows to forecast
    # rows before them; 0 is the larger of two horizons and two seasons, at most a third of the training
    history: int = 0
    season: int = 0  # rows of a season; 0 is a day of hours, a week of days, a year of weeks and months

    title = "forecasting"
    accepts = "files"
    output = "forecast"
    sequential = True

    def __post_init__(self) -> None:
        """Raise UsageError for numbers of rows that are none."""
        for name in ("horizon", "history", "season"):
            if getattr(self, name) < (name == "horizon"):
                raise UsageError(f"task.{name}={getattr(self, name)} is not valid: it must be a number of rows")

    def missing_features(self, info: Info) -> list[str]:
        """Return "times" for a dataset that is no table of cells."""
        return [] if {"cells", "series"} & set(info.statistics) else ["times, such as those of a CSV file"]

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the windows of the series: history (L,), known (L + H, features) and forecast (H,), float32."""
        if "series" in dataset.info.statistics:
            return dataset
        raw = [tabular.collect(dataset[name]) for name in PARTS]
        table = {name: np.concatenate([part[name] for part in raw]).tolist() for name in raw[0]}
        facts = self._columns(table)
        stamps = series.parse_times(table[facts["time"]], facts["time"], facts["form"])
        grid = series.grid_of(np.sort(stamps))
        times, values, known = _series_of(table, stamps, facts, grid)
        ends = np.cumsum([round(len(values) * dataset.info.counts[name] / len(table[facts["time"]])) for name in PARTS])
        starts, ends = (0, ends[0], ends[1]), (*ends[:2], len(values))
        season = self.season or grid.season
        history = self.history or max(2 * self.horizon, 2 * season)
        history = history if self.history else max(min(history, ends[0] // 3), season + 1)
        if (
            min(end - start for start, end in zip(starts, ends, strict=True)) < self.horizon
            or ends[0] < history + self.horizon + 1
        ):
            raise DataError(
                f"{len(values)} rows are too few for a history of {history} and a horizon of {self.horizon} rows in "
                "each split: give more rows, or a smaller task.horizon and task.history",
                USAGE,
            )
        calendar, names = series.calendar(times, grid)
        features = np.concatenate([calendar, known], axis=1)
        train = features[: ends[0]].astype(np.float64)
        deviation, changes = values[: ends[0]].std(), np.abs(values[season : ends[0]] - values[: ends[0] - season])
        facts |= {
            "grid": dataclasses.asdict(grid),
            "season": season,
            "history": history,
            "horizon": self.horizon,
            "features": [*names, *facts["columns"]],
            "scale": float(changes.mean()) or 1.0,
            "target": [float(values[: ends[0]].mean()), float(deviation) or 1.0],
            "scales": [[float(m), float(d) or 1.0] for m, d in zip(train.mean(axis=0), train.std(axis=0), strict=True)],
            "ranges": [[float(a.min()), float(a.max())] for a in (values, *features.T)],
        }
        parts = {
            name: _windows(values, features, history, self.horizon, start, end)
            for name, start, end in zip(PARTS, starts, ends, strict=True)
        }
        storage.log.info(
            "%s, a value every %s, %s to %s; season of %s rows, history of %s; known ahead: %s",
            *(facts["target_column"], grid.interval, times[0], times[-1], season, history),
            ", ".join(facts["features"]),
        )
        info = dataclasses.replace(
            dataset.info,
            features=dict.fromkeys(next(iter(parts.values())), "float32"),
            counts={name: len(part["history"]) for name, part in parts.items()},
            statistics={"series": facts},
        )
        return Dataset(**{name: tabular.dataset(part) for name, part in parts.items()}, info=info)

    def _columns(self, table: Mapping[str, list[str]]) -> dict[str, Any]:
        """Return which columns are used, and how."""

        def column(setting: str, name: str) -> str:
            if (plain := tabular.plain_name(name)) not in table:
                raise unknown(f"column, task.{setting}", name, table)
            return plain

        dates = [name for name, cells in table.items() if tabular.infer(cells) == "date"]
        if not self.time and not dates:
            raise UsageError(f"no column has dates: name the one with times by --time; columns: {', '.join(table)}")
        time = column("time", self.time) if self.time else dates[0]
        target = column("target_column", self.target_column) if self.target_column else list(table)[-1]
        known = {}
        for name in [column("known", name) for name in split(self.known) if name]:
            kind = tabular.infer(table[name])
            values = sorted({cell for cell in table[name] if not tabular.is_missing(cell)})
            if kind != "number" and len(values) > MOST_VALUES:
                raise UsageError(f"{name} has {len(values)} different texts: it cannot be known ahead")
            known[name] = None if kind == "number" else values[1:]
        if len({time, target, *known}) < 2 + len(known):
            raise UsageError("time, target and known columns must be different ones")
        columns = []  # a column of texts has a feature for each value but the first
        for name, values in known.items():
            columns += [name] if values is None else [f"{name}={value}" for value in values]
        form = tabular.date_form(table[time]) or ""
        return {"time": time, "form": form, "target_column": target, "known": known, "columns": columns}

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the sizes of a window, and mean and standard deviation of the features and the series."""
        facts = info.statistics["series"]
        sizes = {name: facts[name] for name in ("history", "horizon")}
        return sizes | {"features": facts["scales"], "target": facts["target"]}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({history, known}, the next rows float32 (horizon,))."""
        names = ("history", "known")
        return pipelines.feed(split, decode=lambda row: ({name: row[name] for name in names}, row["forecast"]))

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return Huber's loss, delta one standard deviation, and MAE."""
        import keras

        deviation = info.statistics["series"]["target"][1]
        return {"loss": keras.losses.Huber(delta=deviation), "metrics": [keras.metrics.MeanAbsoluteError(name="mae")]}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (history, known -> forecast)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        facts = info.statistics["series"]
        (low, high), *ranges = facts["ranges"]
        history, horizon = facts["history"], facts["horizon"]
        lows, highs = zip(*ranges, strict=True)
        inputs = [
            Tensor("history", "float32", (None, history), "tensor", low=low, high=high),
            Tensor("known", "float32", (None, history + horizon, len(ranges)), "tensor", low=lows, high=highs),
        ]
        return Contract((tensor_endpoint(served, inputs, [Tensor("forecast", "float32", (None, horizon))]),))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return MASE (Hyndman, Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001), MAE and RMSE of all rows."""
        errors = self.residuals(outputs, truth)
        mae = float(np.abs(errors).mean())
        scale = info.statistics["series"]["scale"]  # the error of the seasonal naive forecast in training
        return {"mase": mae / scale, "mae": mae, "rmse": float(np.sqrt(np.mean(errors**2)))}

    def residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """Return the predicted minus the true numbers of each example (N, horizon), float64."""
        return outputs[self.output].astype(np.float64) - truth

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return naive forecasts, ridge regression and boosted trees."""
        from zoo.candidates import series as candidates

        return candidates.ladder(info.statistics["series"]["season"])

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the last forecast with its band, and the error by the row of the forecast."""
        from zoo.evaluation import plots

        facts, truth = evaluation.info.statistics["series"], evaluation.truth
        rows = {"this model": evaluation.outputs} | dict(evaluation.baselines)
        errors = {name: np.abs(self.residuals(outputs, truth)).mean(axis=0) for name, outputs in rows.items()}
        margins = evaluation.metrics.get("conformal", {}).get("margins")
        last = (evaluation.inputs["history"][-1], truth[-1], evaluation.outputs[self.output][-1])
        yield "forecast", plots.forecast(*last, margins, errors, facts["target_column"], Grid(**facts["grid"]).interval)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the last rows of a table file, and what is known of the next ones; DataError if there are too few."""
        return self._last(argument, info)[0]

    def explain(self, query: Query) -> Prediction:
        """Return the forecast, a row for each time."""
        facts = query.info.statistics["series"]
        times, values = self._last(query.argument, query.info)[1], query.outputs[self.output]
        pairs = list(zip(map(series.shown, times), values, strict=True))
        rows = tuple(
            {"input": query.argument, facts["time"]: time, facts["target_column"]: round(float(value), 4)}
            for time, value in pairs
        )
        return Prediction(lines=tuple(f"{time}  {value:.4g}" for time, value in pairs), rows=rows)

    def _last(self, path: str, info: Info) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the inputs of the forecast that follows a file, and its times."""
        facts = info.statistics["series"]
        table = {tabular.plain_name(name): cells for name, cells in tabular.read_table(Path(path)).items()}
        if missing := {facts["time"], facts["target_column"], *facts["known"]} - table.keys():
            raise DataError(f"{path} has no column {', '.join(sorted(missing))}; it has {', '.join(table)}", USAGE)
        history, horizon, grid = facts["history"], facts["horizon"], Grid(**facts["grid"])
        stamps = series.parse_times(table[facts["time"]], facts["time"], facts["form"])
        times, values, known = _series_of(table, stamps, facts, grid, ahead=True)
        if len(values) < history:
            raise DataError(f"{path} has {len(values)} rows: a forecast needs the last {history}", USAGE)
        start = int(grid.places(times[:1])[0]) + len(values) - history
        window = grid.times(np.arange(start, start + history + horizon))
        ahead = known[len(values) - history : len(values) + horizon]
        if facts["known"] and len(ahead) < history + horizon:
            raise DataError(
                f"{path} ends before the forecast does: add {history + horizon - len(ahead)} rows with "
                f"{', '.join(facts['known'])}, and without {facts['target_column']}",
                USAGE,
            )
        ahead = ahead if facts["known"] else np.zeros((history + horizon, 0), np.float32)
        features = np.concatenate([series.calendar(window, grid)[0], ahead], axis=1)
        return {"history": values[-history:], "known": features}, window[history:]


def _series_of(
    table: Mapping[str, list[str]], stamps: np.ndarray, facts: Mapping[str, Any], grid: Grid, ahead: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times (N,), values (N,) and known columns (N, F), of later rows without a value, too, with `ahead`."""
    name, places = facts["target_column"], grid.places(stamps)
    if len(np.unique(places)) < len(places):
        raise DataError(f"{facts['time']}: two rows have one time: give one series, with one row a time", USAGE)
    first, count = places.min(), places.max() - places.min() + 1

    def of_cells(values: np.ndarray) -> np.ndarray:
        column = np.full(count, np.nan)
        column[places - first] = values
        return column

    raw = of_cells(tabular.values_of(name, table[name], "number")[name])
    present = np.flatnonzero(~np.isnan(raw))
    if not len(present):
        raise DataError(f"{name} has no number", USAGE)
    begin, end = present[0], present[-1] + 1
    columns = []
    for column, words in facts["known"].items():
        cells = table[column]
        if words is not None:
            columns += [np.nan_to_num(of_cells(np.array([cell == word for cell in cells], float))) for word in words]
        else:
            columns.append(series.filled(of_cells(tabular.values_of(column, cells, "number")[column]), column))
    known = np.stack(columns, axis=1) if columns else np.zeros((count, 0))
    times = grid.times(first + np.arange(begin, end))
    stop = count if ahead else end
    return times, series.filled(raw[begin:end], name), known[begin:stop].astype(np.float32)


def _windows(
    values: np.ndarray, features: np.ndarray, history: int, horizon: int, start: int, end: int
) -> dict[str, np.ndarray]:
    """Return the windows whose forecast is in rows `start` to `end`."""
    first = max(start - history, 0)
    every = max(1, (end - first - history - horizon + 1) // series.MOST)
    target = series.windows(values[first:end], history + horizon)[::every]
    known = series.windows(features[first:end], history + horizon)[::every]
    return {"history": target[:, :history].copy(), "known": known.copy(), "forecast": target[:, history:].copy()}
