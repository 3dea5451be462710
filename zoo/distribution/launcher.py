"""Workers of a training as processes of this machine, which share its batches."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from zoo.core.run_folder import RunFolder
from zoobase.errors import ZooError, of_process
from zoobase.ports import free_ports

POLL = 0.2  # seconds


class Process:
    """A command of ours, `python -m WORDS`, as a process of this machine, whose output is shown if it `prints`."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], prints: bool = False) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process runs
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=None if prints else subprocess.DEVNULL,
            stderr=self._log,
            text=True,
        )

    @property
    def signal(self) -> str:
        """The name of the signal that has ended it; empty if none has."""
        code = self._process.poll() or 0
        return signal.Signals(-code).name if code < 0 else ""

    def end(self) -> str | None:
        """Return None while it runs, else how it was killed or ""; raise its error, a ZooError, if it failed."""
        code = self._process.poll()
        if code is not None and code > 0:
            self._log.seek(0)
            raise of_process(code, self._log.read())
        return None if code is None else self.signal

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()


def launch(arguments: Sequence[str], workers: int, model: str | None, folder: str | None) -> None:
    """Run `python -m zoo.train` with the same arguments in several processes; the first one prints."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = str(RunFolder.create(model).path)
            stack.callback(_remove_if_empty, folder)
            arguments = [*arguments, "--out", folder]
        addresses, processes = [f"127.0.0.1:{port}" for port in free_ports(workers)], []
        for index in range(workers):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
            processes.append(Process(["zoo.train", *arguments], environment, prints=index == 0))
            stack.callback(processes[-1].kill)
        running = True
        while running:
            for index, process in enumerate(processes):  # before the errors of others, which follow from it
                if process.signal:
                    raise ZooError(
                        f"worker {index} was ended by {process.signal}, and the others after it; resume with --workers "
                        f"{workers} --resume {folder}"
                    )
            running = None in [process.end() for process in processes]
            time.sleep(POLL if running else 0)


def _remove_if_empty(folder: str) -> None:
    with contextlib.suppress(OSError):  # it holds a run
        os.rmdir(folder)
