"""The study of a search: an Optuna study in a journal, whose trials are run folders.

FOLDER/search.json      the search
FOLDER/journal.log      the trials: parameters, state, metric after every epoch
FOLDER/trials/NUMBER/   a run folder each; a trial that is asked again continues in that of the first attempt
FOLDER/workers/         a file for each running process, which it holds locked
FOLDER/report.md        the result, with figures in figures/
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from pipelines.sources import storage
from zoo.core.run_folder import RunFolder
from zoo.search.definition import Search

optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("optuna").propagate = False

JOURNAL = "journal.log"
RUN, WORKER, RETRY, ERROR, DEFAULT = "run", "worker", "retry_of", "error", "default"  # attributes of trials
ATTEMPTS = 3  # of a trial whose worker is killed
FACTOR = 3  # of successive halving: the best third of the trials continues


def open_study(folder: Path, search: Search) -> optuna.Study:
    """Return the study of a folder, which is created if necessary."""
    journal = str((folder / JOURNAL).absolute())
    # asynchronous successive halving (Li 2020, arXiv:1810.05934), after a ninth and a third of the epochs
    pruner = optuna.pruners.SuccessiveHalvingPruner(max(1, search.epochs // FACTOR**2), FACTOR)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(journal, JournalFileOpenLock(journal))),
        study_name=search.model,
        direction=search.direction,
        pruner=pruner,
        load_if_exists=True,
    )


def ask(folder: Path, study: optuna.Study, search: Search, trials: int, worker: str) -> optuna.Trial | None:
    """Return the next trial for a worker; None if the study has `trials` trials."""
    with storage.preparing(folder):
        count = len(asked(study))
        if count >= trials:
            return None
        # one generator for each trial: one for the process would propose its first trials again after a restart
        seed = search.options["seed"] + count
        study.sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)
        trial = study.ask(search.space)
        trial.set_user_attr(WORKER, worker)
        if RUN not in trial.user_attrs:
            trial.set_user_attr(RUN, f"{trial.number:04d}")
        return trial


def asked(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were asked, without those that were asked again after their worker was killed."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(RETRY) for trial in trials}
    return [trial for trial in trials if trial.number not in again and trial.state != TrialState.WAITING]


def is_over(study: optuna.Study, trials: int) -> bool:
    """Return whether `trials` trials were asked, and none is left to be trained."""
    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
    return not left and len(asked(study)) >= trials


def run_of(folder: Path, attributes: dict[str, str]) -> RunFolder:
    """Return the run folder of a trial by its attributes."""
    return RunFolder(folder / "trials" / attributes[RUN])


def ask_again(folder: Path, study: optuna.Study) -> list[FrozenTrial]:
    """Fail the trials whose worker was killed, and enqueue their parameters again, at most `ATTEMPTS` times.

    Returns:
        The failed trials.
    """
    lost = []
    with storage.preparing(folder):
        trials = study.get_trials(deepcopy=False)
        original = {trial.number: trial.user_attrs.get(RETRY) for trial in trials}
        for trial in trials:
            worker = trial.user_attrs.get(WORKER)  # missing if it was killed before it could be set
            if trial.state != TrialState.RUNNING or (worker is not None and _runs(folder, worker)):
                continue
            attempt, number = 1, trial.number
            while (number := original[number]) is not None:
                attempt += 1
            if attempt < ATTEMPTS and trial.number not in original.values():
                kept = {name: trial.user_attrs[name] for name in (RUN, DEFAULT) if name in trial.user_attrs}
                study.enqueue_trial(trial.params, kept | {RETRY: trial.number})
            study.tell(trial.number, state=TrialState.FAIL)
            lost.append(trial)
    return lost


@contextlib.contextmanager
def announced(folder: Path) -> Iterator[str]:
    """Yield the name of a new worker: a file that this process keeps locked, so that others see when it ends."""
    workers = folder / "workers"
    workers.mkdir(exist_ok=True)
    handle, path = tempfile.mkstemp(dir=workers, prefix=f"{os.getpid()}-")
    with os.fdopen(handle, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Path(path).name
        os.unlink(path)


def _runs(folder: Path, worker: str) -> bool:
    try:
        with (folder / "workers" / worker).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that were trained to the end or pruned: those that have a value."""
    return [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
