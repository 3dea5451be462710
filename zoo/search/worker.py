"""python -m zoo.search.worker FOLDER TRIALS: a process of a search, started by `python -m zoo.tune`."""

from __future__ import annotations

import os
from pathlib import Path

import click
import optuna
from optuna.trial import TrialState

from zoo import train
from zoo.core import environment
from zoo.search import study as studies
from zoo.search.definition import Search
from zoobase import console as shell
from zoobase.errors import MissingError, ZooError


def thread_limits(workers: int) -> dict[str, str]:
    """Return the environment of one of several workers on a machine; TensorFlow reads it when it is imported."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}


def work(folder: Path, trials: int) -> None:
    """Train trials until the study has `trials` of them, or the process that started this one has ended."""
    environment.prepare()
    parent, search = os.getppid(), Search.load(folder)
    study = studies.open_study(folder, search)
    with studies.announced(folder) as worker:
        while os.getppid() == parent:
            trial = studies.ask(folder, study, search, trials, worker)
            if trial is None:
                return
            _run(folder, study, search, trial)


def _run(folder: Path, study: optuna.Study, search: Search, trial: optuna.Trial) -> None:
    """Train one trial and tell the study its value.

    An error ends the search, unless another trial has shown that the settings shared by all are right.
    """
    import keras

    from zoo.search.pruning import ReportCurve, curve

    run = studies.run_of(folder, trial.user_attrs)
    try:
        if not run.finished:  # it is if the worker of an earlier attempt was killed before it told the value
            options = {**search.options, "settings": search.settings(trial.params)}
            callback = ReportCurve(trial, search, run)
            train.run(search.model, **options, out=str(run.path), evaluate=False, export=False, callbacks=[callback])
        study.tell(trial, curve(run, search)[-1])
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except MissingError:
        raise
    except Exception as error:
        diverged = type(error) is ZooError  # a loss became NaN: worse than any other trial
        if not diverged and not studies.finished(study.get_trials(deepcopy=False)):
            raise
        trial.set_user_attr(studies.ERROR, shell.describe_error(error)[0])
        study.tell(trial, state=TrialState.PRUNED if diverged else TrialState.FAIL)
    keras.utils.clear_session()


@click.command("worker")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("trials", type=int)
def main(folder: Path, trials: int) -> None:
    """Train the trials of the search in FOLDER."""
    work(folder, trials)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.search.worker")
