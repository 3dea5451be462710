"""What a process has used; of the standard library, for contenders in any venv."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def since_start() -> float:
    """Return the seconds since the harness started this process, imports included."""
    return time.time() - float(os.environ["BENCHMARK_STARTED"])


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would count the parent's memory before exec
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(held.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class Watching:
    """Looks ten times a second how much memory this process and all below it hold together; the largest is `mb`.

    Pages that several of them share, such as those of forked workers, are counted once.
    """

    def __enter__(self) -> Watching:
        self.mb, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the processes of now have used."""
        return sum(self._ask(lambda process: sum(process.cpu_times()[:2])))

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.mb = max(self.mb, sum(self._ask(lambda process: process.memory_full_info().pss)) / 2**20)

    @staticmethod
    def _ask(what: Callable[[Any], float]) -> list[float]:
        import psutil

        answers = []
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                answers.append(what(process))
        return answers
