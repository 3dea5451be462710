"""The workers of a search: start, watch, replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import optuna
from optuna.trial import TrialState

from zoo.search import report
from zoo.search import study as studies
from zoobase.console import Console

POLL = 0.5  # seconds
GRACE = 20.0  # seconds for the workers to end when there are no more trials
OVER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Worker(Protocol):
    """A process that trains trials."""

    def end(self) -> str | None:
        """Return None while it runs, "" when it has returned, otherwise how it was killed; raise its error."""

    def kill(self) -> None:
        """End it, if it has not ended."""


def run(
    folder: Path, study: optuna.Study, trials: int, workers: int, start: Callable[[], Worker], console: Console
) -> None:
    """Run workers until the study has `trials` trials; one that is killed is replaced, and its trial asked again.

    Raises:
        ZooError: A worker failed; the message and the exit code are its own.
    """
    printed = {trial.number for trial in study.get_trials(deepcopy=False, states=OVER)}
    _ask_again(folder, study, console)
    left = trials - len(studies.asked(study))
    running = [start() for _ in range(min(workers, left))]
    deadline = float("inf")
    try:
        while running and time.monotonic() < deadline:
            time.sleep(POLL)
            ends = [worker.end() for worker in running]
            for trial in study.get_trials(deepcopy=False, states=OVER):
                if trial.number not in printed:
                    printed.add(trial.number)
                    console.print(report.line(trial))
            for end in filter(None, ends):
                console.print(f"a worker was ended by {end}")
            killed = sum(bool(end) for end in ends)
            if killed:
                _ask_again(folder, study, console)
            running = [worker for worker, end in zip(running, ends, strict=True) if end is None]
            running += [start() for _ in range(killed)]
            if deadline == float("inf") and studies.is_over(study, trials):  # also where a worker waits for a machine
                deadline = time.monotonic() + GRACE
    finally:
        for worker in running:
            worker.kill()


def _ask_again(folder: Path, study: optuna.Study, console: Console) -> None:
    for trial in studies.ask_again(folder, study):
        console.print(f"trial {trial.number} is asked again, because its worker was killed")
