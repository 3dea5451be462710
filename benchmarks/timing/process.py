"""Time and memory of processes, by the standard library, for candidates in any virtual environment."""

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
    """Return the seconds since this process was started, imports included."""
    return time.time() - float(os.environ["BENCHMARK_STARTED"])


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would count the parent's memory before exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class MemoryMonitor:
    """Measures the memory of this process and its descendants ten times per second; `mb` is the maximum.

    Shared pages, such as those of forked workers, are counted once.
    """

    def __enter__(self) -> MemoryMonitor:
        self.mb, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._monitor, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def cpu_seconds(self) -> float:
        """Return the CPU time of the running processes, and of those that they have waited for."""
        return sum(self._collect(lambda process: sum(process.cpu_times()[:4])))

    def _monitor(self) -> None:
        while not self._stop.wait(0.1):
            self.mb = max(self.mb, sum(self._collect(lambda process: process.memory_full_info().pss)) / 2**20)

    @staticmethod
    def _collect(function: Callable[[Any], float]) -> list[float]:
        import psutil

        values = []
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                values.append(function(process))
        return values
