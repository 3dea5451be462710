"""What a process has used; of the standard library, for contenders in any venv."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path


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
    """Looks every 50 ms how much memory this process and all below it hold together; the largest is `mb`."""

    def __enter__(self) -> Watching:
        self.mb, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._ended.wait(0.05):
            held = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.mb = max(self.mb, held / 2**20)
