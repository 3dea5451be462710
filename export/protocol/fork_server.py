"""Run runners in processes forked from this one, which has loaded only what they run in.

`python -P fork_server.py FD keras|c_api`, FD being a Unix socket: TensorFlow and Keras in Python, or the libraries of
TensorFlow's C API and NumPy. Each message is JSON, {"script", "job", "log", "cwd", "paths",
"environment"}, and carries one end of a socket pair. On it the exit code of the process is sent; if its other end is
closed before that, the process is killed. The server ends when its socket is closed.

A fork takes milliseconds where importing TensorFlow takes seconds, and loading its libraries tenths of a second.
TensorFlow starts its threads at its first operation, so a process that has only imported it can be forked.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

if __package__:
    from export.protocol import machine
else:
    import machine


def main() -> None:
    """Serve until the socket is closed."""
    gc.disable()  # its collections would take a quarter of the time of the imports
    {"keras": import_keras, "c_api": load_c_api}[sys.argv[2]]()
    gc.freeze()  # a collection in a process would visit, and so copy, the objects of these imports
    gc.enable()
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, (*received,), _, _ = socket.recv_fds(control, 1 << 18, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            supervise(json.loads(message), received[0])
            os._exit(0)
        os.close(received[0])


def reap() -> None:
    """Wait for the processes that have ended, so that none stays a zombie and their CPU time counts as the server's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def import_keras() -> None:
    """Import TensorFlow and Keras, without what Keras imports only if it is installed: a third of the CPU time."""
    optional = [name for name in ("cv2", "matplotlib", "pandas", "sklearn") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(optional))  # an import of None raises ImportError
    import keras
    import tensorflow as tf

    for name in optional:
        del sys.modules[name]
    assert keras.Model
    assert tf.lite  # both are imported when an attribute is first used


def load_c_api() -> None:
    """Load the libraries of the C API, if they are there; where not, the script says so."""
    import c_api

    with contextlib.suppress(ImportError, OSError):
        c_api.library()


def supervise(request: dict[str, Any], connection: int) -> None:
    """Fork the process, wait until it ends or its client does, and send its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os.close(connection)
        os._exit(run(request))
    ended = os.pidfd_open(child)
    readable, _, _ = select.select([ended, connection], [], [])
    if ended not in readable:
        for kill in (os.killpg, os.kill):  # the group does not exist before the process has called setsid
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(connection, str(code).encode())


def run(request: dict[str, Any]) -> int:
    """Run the script as `__main__` and return its exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.path[:0] = request["paths"]
    sys.argv = [request["script"], request["job"]]
    tempfile.tempdir = None  # as TMPDIR of the request says
    try:
        machine.confine(**json.loads(Path(request["job"]).read_text())["confine"])
        runpy.run_path(request["script"], run_name="__main__")
        return 0
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
