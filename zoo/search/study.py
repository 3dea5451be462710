"""The trials of a search: an Optuna study, whose trials are run folders.

FOLDER/study.db         the study, unless `--storage` names another place
FOLDER/trials/NUMBER/   a run folder each; a trial that is tried again continues in that of the first attempt
FOLDER/report.md        the result, with figures in figures/

Any number of processes share a study. A database holds a heartbeat of each running trial: that of a killed process is
enqueued again by the others, or by the next one.
"""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from zoo import train
from zoo.core.run_folder import RunFolder
from zoo.search.definition import Search
from zoo.search.space import suggest
from zoobase.console import describe_error
from zoobase.errors import MissingError, UsageError, ZooError, unknown

optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("optuna").propagate = False
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

RUN, ERROR, DEFAULT = "run", "error", "default"  # attributes of trials
SEARCH = "search"  # attribute of the study
FACTOR = 3  # of successive halving: the best third of the trials continues
HEARTBEAT, GRACE, POLL = 10, 60, 1.0  # seconds
RETRY = RetryHeartbeatStaleTrialCallback(max_retry=2)


def open_storage(place: str) -> BaseStorage:
    """Return the storage of a URL such as sqlite:///study.db, or of the path of a journal."""
    # A journal needs no database server, also on NFS; it has no heartbeat, so that killed trials are not tried again.
    options = {"connect_args": {"timeout": 60}} if place.startswith("sqlite") else {}  # for the lock of another process
    beats = {"heartbeat_interval": HEARTBEAT, "grace_period": GRACE, "heartbeat_stale_trial_callback": RETRY}
    try:
        if "://" not in place:
            return JournalStorage(JournalFileBackend(place, JournalFileOpenLock(place)))
        return RDBStorage(place, engine_kwargs=options, **beats)
    except ImportError as error:
        raise MissingError(f"--storage needs the driver of its database: {error}") from error
    except Exception as error:  # each database has errors of its own, whose texts may hold the password of the URL
        raise UsageError(f"--storage cannot be opened ({type(error).__name__}): give a URL or a path") from error


def stored(storage: BaseStorage, model: str) -> Search | None:
    """Return the search for a model in a storage, if there is one."""
    if model not in optuna.get_all_study_names(storage):
        return None
    values = optuna.load_study(study_name=model, storage=storage).user_attrs.get(SEARCH)
    return None if values is None else Search.from_json(values)


def open_study(storage: BaseStorage, search: Search) -> optuna.Study:
    """Return the study of a search, which is created if necessary, with the search as an attribute."""
    # asynchronous successive halving (Li 2020, arXiv:1810.05934), after a ninth and a third of the epochs
    pruner = optuna.pruners.SuccessiveHalvingPruner(max(1, search.epochs // FACTOR**2), FACTOR)
    study = optuna.create_study(
        storage=storage, study_name=search.model, direction=search.direction, pruner=pruner, load_if_exists=True
    )
    if SEARCH not in study.user_attrs:
        study.set_user_attr(SEARCH, search.to_json())
    return study


def optimize(
    study: optuna.Study,
    folder: Path,
    search: Search,
    trials: int,
    show: Callable[[FrozenTrial], None],
    waits: bool,
    given: Mapping[str, Any],
) -> None:
    """Train until the study has `trials` trials, and those of other processes have ended; `given`: data and objects."""

    def objective(trial: optuna.Trial) -> float:
        parameters = suggest(trial, search.space)
        if RUN not in trial.user_attrs:
            trial.set_user_attr(RUN, f"{trial.number:04d}")
        try:
            run = run_of(folder, trial.user_attrs)
            if not run.finished:  # it is if the process of an earlier attempt was killed before it told the value
                options = {**search.options, "settings": search.settings(parameters), "out": str(run.path)}
                callback = ReportCurve(trial, search, run)
                train.run(search.model, **options, **given, evaluate=False, export=False, callbacks=[callback])
            return curve(run, search)[-1]
        except KeyboardInterrupt:
            RETRY(study, study.get_trials(deepcopy=False)[trial.number])
            raise
        except (optuna.TrialPruned, MissingError):
            raise
        except Exception as error:
            diverged = type(error) is ZooError  # a loss became NaN: worse than any other trial
            if not diverged and not finished(study.get_trials(deepcopy=False)):
                raise
            trial.set_user_attr(ERROR, describe_error(error)[0])
            if diverged:
                raise optuna.TrialPruned from error
            return float("nan")  # a failed trial
        finally:
            keras.utils.clear_session()

    while True:
        optuna.storages.fail_stale_trials(study)
        if len(counted(study)) < trials:
            # one generator for each trial: one for the process would propose its first trials again after a restart
            seed = search.options["seed"] + len(study.get_trials(deepcopy=False))
            study.sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)
            study.optimize(objective, n_trials=1, callbacks=[lambda _, trial: show(trial)])
        elif waits and study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            time.sleep(POLL)
        else:
            return


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials without those that wait or were interrupted: these are tried again."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state not in (TrialState.WAITING, TrialState.FAIL) or ERROR in trial.user_attrs
    ]


def run_of(folder: Path, attributes: Mapping[str, str]) -> RunFolder:
    """Return the run folder of a trial by its attributes."""
    return RunFolder(folder / "trials" / attributes[RUN])


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that were trained to the end or pruned: those that have a value."""
    return [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]


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
    """Return, for each finished epoch, the metric of the weights that the run would keep if it ended there."""
    phases = sorted(run.path.glob("phases/*"))  # in the order of training: head, tune
    rows = [row for folder in (phases or [run.path]) for row in RunFolder(folder).history()]
    if rows and search.metric not in rows[0]:
        raise unknown("metric", search.metric, [name for name in rows[0] if name.startswith("val_")])
    best = (min(rows[: i + 1], key=lambda row: row[search.monitor]) for i in range(len(rows)))
    return [row[search.metric] for row in best]
