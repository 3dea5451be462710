"""The fork server of this process: a process that has imported TensorFlow, from which runners are forked."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "runners" / "fork_server.py"
VARIABLE = "EXPORT_FORK_SERVER"  # "0" in the environment starts every runner as a new interpreter instead
_READ_AT_IMPORT = ("TF_", "ONEDNN_", "DNNL_", "KERAS_", "CUDA_", "OMP_", "OPENBLAS_", "XLA_", "PYTHON", "LD_", "HOME")
_lock = threading.Lock()
_server: tuple[dict[str, str], socket.socket, subprocess.Popen[bytes]] | None = None


def is_available() -> bool:
    """Return whether processes can be forked here and the environment does not exclude it."""
    return sys.platform == "linux" and os.environ.get(VARIABLE, "1") != "0"


def submit(
    script: Path, job: Path, log: Path, folder: Path, paths: Sequence[str], environment: Mapping[str, str]
) -> socket.socket:
    """Run a script in a forked process.

    The server is started at the first call, and again when a variable that TensorFlow or Keras read at import changed.
    It ends with this process.

    Returns:
        A socket that receives the exit code in decimal digits, or is closed where the server cannot run. Closing its
        sending side, or all of it, kills the process.
    """
    ours, theirs = socket.socketpair()
    request = {"script": str(script), "job": str(job), "log": str(log), "cwd": str(folder), "paths": list(paths)}
    request["environment"] = dict(environment)
    message = json.dumps(request).encode()
    with theirs, _lock:
        try:
            socket.send_fds(_control(environment), [message], [theirs.fileno()])
        except ConnectionError:  # the server was killed
            stop()
            socket.send_fds(_control(environment), [message], [theirs.fileno()])
    return ours


def start(environment: Mapping[str, str]) -> None:
    """Start the server, so that it imports TensorFlow while the caller does other work."""
    with _lock:
        _control(environment)


@atexit.register
def stop() -> None:
    """Stop the server; processes that run are not affected."""
    global _server
    if _server is not None:
        _, control, process = _server
        _server = None
        control.close()
        process.kill()
        process.wait()


def _control(environment: Mapping[str, str]) -> socket.socket:
    global _server
    relevant = {name: value for name, value in environment.items() if name.startswith(_READ_AT_IMPORT)}
    if _server is not None and _server[0] != relevant:
        stop()
    if _server is None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=SCRIPT.parent,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        _server = relevant, ours, process
    return _server[1]
