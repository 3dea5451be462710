"""The fork servers of this process: processes that have loaded TensorFlow, from which runners are forked.

There is one with Keras and one with the C API for each environment that they read when they are loaded, such as that of
other kernels.
"""

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
_READ_AT_IMPORT = (
    "TF_",
    "TENSORFLOW_",
    "ONEDNN_",
    "DNNL_",
    "KERAS_",
    "CUDA_",
    "OMP_",
    "OPENBLAS_",
    "XLA_",
    "PYTHON",
    "LD_",
    "HOME",
)
_LARGEST_COUNT = 2  # servers of a kind at a time: the usual environment and that of other kernels
_Key = tuple[str, frozenset[tuple[str, str]]]  # what it has loaded, "keras" or "c_api", and its environment
_lock = threading.Lock()
_servers: dict[_Key, tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def is_available() -> bool:
    """Return whether processes can be forked here and the environment does not exclude it."""
    return sys.platform == "linux" and os.environ.get(VARIABLE, "1") != "0"


def submit(
    kind: str, script: Path, job: Path, log: Path, folder: Path, paths: Sequence[str], environment: Mapping[str, str]
) -> socket.socket:
    """Run a script in a process forked from one that has loaded "keras" or "c_api".

    The server of an environment is started at the first call, and ends with this process, or when two others of its
    kind have been started since.

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
            socket.send_fds(_control(kind, environment), [message], [theirs.fileno()])
        except ConnectionError:  # the server was killed
            _stop(_key(kind, environment))
            socket.send_fds(_control(kind, environment), [message], [theirs.fileno()])
    return ours


def start(environment: Mapping[str, str]) -> None:
    """Start the Keras server of an environment, so that it imports TensorFlow while the caller does other work."""
    with _lock:
        _control("keras", environment)


@atexit.register
def stop() -> None:
    """Stop all servers; processes that run are not affected."""
    for key in list(_servers):
        _stop(key)


def _stop(key: _Key) -> None:
    control, process = _servers.pop(key)
    control.close()
    process.kill()
    process.wait()


def _key(kind: str, environment: Mapping[str, str]) -> _Key:
    return kind, frozenset((name, value) for name, value in environment.items() if name.startswith(_READ_AT_IMPORT))


def _control(kind: str, environment: Mapping[str, str]) -> socket.socket:
    key = _key(kind, environment)
    if key in _servers:
        _servers[key] = _servers.pop(key)  # the last one used is the last one stopped
        return _servers[key][0]
    same = [other for other in _servers if other[0] == kind]
    if len(same) >= _LARGEST_COUNT:
        _stop(same[0])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(theirs.fileno()), kind],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=SCRIPT.parent,
            env=dict(environment),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    _servers[key] = ours, process
    return ours
