"""Starts the workers of a training as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

from zoo.core.run_folder import RunFolder
from zoobase.errors import ZooError, of_process

POLL = 0.2  # seconds


def launch(arguments: Sequence[str], workers: int, model: str | None, folder: str | None) -> None:
    """Run `python -m zoo.train` with the same arguments in several processes; the first one prints.

    Args:
        arguments: The command line of `python -m zoo.train`.
        workers: Number of processes.
        model: Name of the model.
        folder: The run folder, if it is one of the arguments; else a new one is added to them.

    Raises:
        ZooError: A worker failed or was killed; the others were ended.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(new_folder(model))
            arguments = [*arguments, "--out", folder]
        addresses = free_addresses(workers)
        logs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(workers)]
        processes = [_start(arguments, addresses, index, log) for index, log in enumerate(logs)]
        stack.callback(_end, processes)
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                break
            time.sleep(POLL)
        failed = [index for index, process in enumerate(processes) if process.poll()]
        killed = [index for index in failed if processes[index].returncode < 0]
        if killed:
            name = signal.Signals(-processes[killed[0]].returncode).name
            raise ZooError(
                f"worker {killed[0]} was ended by {name}, and the others after it; resume with --workers {workers} "
                f"--resume {folder}"
            )
        if failed:
            logs[failed[0]].seek(0)
            raise of_process(processes[failed[0]].returncode, logs[failed[0]].read())


@contextlib.contextmanager
def new_folder(model: str) -> Iterator[str]:
    """Yield a new run folder for workers to share, which is removed if it stays empty."""
    folder = str(RunFolder.create(model).path)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # it holds a run
            os.rmdir(folder)


def free_addresses(count: int) -> list[str]:
    """Return addresses of this machine whose ports are free."""
    with contextlib.ExitStack() as stack:  # all are open at the same time, so that no two are equal
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]


def _start(arguments: Sequence[str], addresses: Sequence[str], index: int, log: IO[str]) -> subprocess.Popen:
    config = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.train", *arguments],
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
        stdin=subprocess.DEVNULL,
        stdout=None if index == 0 else subprocess.DEVNULL,
        stderr=log,
        text=True,
    )


def _end(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
