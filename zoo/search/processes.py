"""The workers of a search as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from zoo.search.worker import thread_limits
from zoobase.errors import of_process


class Process:
    """A worker as a process of this machine.

    Args:
        folder: Folder of the search.
        trials: Number of trials in all.
        workers: Number of workers that share the processors of this machine.
    """

    def __init__(self, folder: Path, trials: int, workers: int) -> None:
        """Start it."""
        environment = {**(thread_limits(workers) if workers > 1 else {}), **os.environ}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process runs
        command = [sys.executable, "-m", "zoo.search.worker", str(folder), str(trials)]
        no_input = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, env=environment, stdin=no_input, stdout=no_input, stderr=self._log, text=True
        )

    def end(self) -> str | None:
        """See `zoo.search.pool.Worker`."""
        code = self._process.poll()
        if code is None:
            return None
        if code > 0:
            self._log.seek(0)
            raise of_process(code, self._log.read())
        return signal.Signals(-code).name if code else ""

    def kill(self) -> None:
        """See `zoo.search.pool.Worker`."""
        self._process.kill()
        self._process.wait()
