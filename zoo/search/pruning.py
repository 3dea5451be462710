"""A Keras callback that reports the validation curve of a trial to its study, and stops a trial without prospects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import optuna

from zoo.core.run_folder import RunFolder
from zoo.search.definition import Search
from zoobase.errors import unknown


class ReportCurve(keras.callbacks.Callback):
    """Reports the metric of a search after every epoch, and raises `optuna.TrialPruned` if the pruner says so.

    The curve is read from the history of the run, which holds the epochs of an earlier, killed attempt as well.
    """

    def __init__(self, trial: optuna.Trial, search: Search, run: RunFolder) -> None:
        """Report the curve of `run` to `trial`."""
        super().__init__()
        self.trial, self.search, self.folder = trial, search, run
        self.reported = 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Report the epochs that are new; raise TrialPruned, except after the last epoch."""
        values = curve(self.folder, self.search)
        for step, value in list(enumerate(values, start=1))[self.reported :]:
            self.trial.report(value, step)
        self.reported = len(values)
        if epoch + 1 < self.params["epochs"] and self.trial.should_prune():
            raise optuna.TrialPruned


def curve(run: RunFolder, search: Search) -> list[float]:
    """Return, for each finished epoch, the metric of the weights that the run would keep if it ended there.

    Raises:
        UsageError: The metric is not in the history.
    """
    phases = sorted(run.path.glob("phases/*"))  # in the order of training: head, tune
    rows = [row for folder in (phases or [run.path]) for row in RunFolder(folder).history()]
    return [_value(rows[: i + 1], search) for i in range(len(rows))]


def _value(rows: Sequence[Mapping[str, float]], search: Search) -> float:
    best = min(rows, key=lambda row: row[search.monitor])
    if search.metric not in best:
        raise unknown("metric", search.metric, [name for name in best if name.startswith("val_")])
    return best[search.metric]
