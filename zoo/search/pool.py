"""The worker processes of a search on this machine: start, watch, replace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import optuna
from optuna.trial import TrialState

from commandline.console import Console
from zoo.core.errors import of_process
from zoo.search import report
from zoo.search import study as studies

POLL = 0.5  # seconds
OVER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def run(folder: Path, study: optuna.Study, trials: int, workers: int, console: Console) -> None:
    """Run workers until the study has `trials` trials; one that is killed is replaced, and its trial asked again.

    Raises:
        ZooError: A worker failed; the message and the exit code are its own.
    """
    printed = {trial.number for trial in study.get_trials(deepcopy=False, states=OVER)}
    _ask_again(folder, study, console)
    left = trials - len(studies.asked(study))
    processes = dict(_start(folder, trials, workers) for _ in range(min(workers, left)))
    try:
        while processes:
            time.sleep(POLL)
            ended = [process for process in processes if process.poll() is not None]
            for trial in study.get_trials(deepcopy=False, states=OVER):
                if trial.number not in printed:
                    printed.add(trial.number)
                    console.print(report.line(trial))
            for process in ended:
                log = processes.pop(process)
                if process.returncode > 0:
                    log.seek(0)
                    raise of_process(process.returncode, log.read())
                if process.returncode < 0:
                    console.print(f"a worker was ended by {signal.Signals(-process.returncode).name}")
                    _ask_again(folder, study, console)
                    processes.update([_start(folder, trials, workers)])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _start(folder: Path, trials: int, workers: int) -> tuple[subprocess.Popen, IO[str]]:
    """Return a new worker and the file of its error output."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads} if workers > 1 else {}
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process runs
    command = [sys.executable, "-m", "zoo.search.worker", str(folder), str(trials)]
    no_input = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env={**environment, **os.environ}, stdin=no_input, stdout=no_input, stderr=log, text=True
    )
    return process, log


def _ask_again(folder: Path, study: optuna.Study, console: Console) -> None:
    for trial in studies.ask_again(folder, study):
        console.print(f"trial {trial.number} is asked again, because its worker was killed")
