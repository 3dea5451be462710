"""Python commands in processes of their own, forked from one that has imported TensorFlow and Keras.

Such a process has its own memory, environment, working folder, output and exit code, and is killed like any other. It
saves the import of TensorFlow: three seconds of CPU time a process. Use `fresh=True` where a test is about the start
of an interpreter: what is imported or printed then, or a hash seed of its own.
"""

import atexit
import faulthandler
import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from zoobase.console import quiet_stderr

ROOT = str(Path(__file__).parent.parent)
READ_AT_IMPORT = ("TF_", "KERAS_", "ONEDNN_", "DNNL_", "OMP_", "PYTHONHASHSEED", "LD_", "HOME")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["keras", "tensorflow._api.v2.lite"])  # tf.lite is imported when it is first used
_of_server: dict[str, str] = {}  # the environment that these imports have read


class Command:
    """A running command: `python WORDS`, whose first words are -m MODULE, -c CODE or the path of a script.

    Args:
        words: The words after `python`.
        cwd: Working folder.
        env: The whole environment; None for that of this process.
        merged: Whether standard error is written to standard output.
        fresh: Whether to start an interpreter. One is started, too, where TensorFlow would read another environment.
        start_new_session: Whether the process leads a group of its own.
    """

    def __init__(self, *words, cwd=None, env=None, merged=False, fresh=False, start_new_session=False):
        self.args, self.returncode = [*map(str, words)], None
        self._folder = tempfile.TemporaryDirectory(prefix="command-")
        self._files = [Path(self._folder.name, name) for name in ("stdout", "stdout" if merged else "stderr")]
        for path in self._files:
            path.touch()
        cwd, env = str(cwd or os.getcwd()), dict(os.environ if env is None else env)
        if fresh or not _serves(env):
            with self._files[0].open("ab") as out, self._files[1].open("ab") as err:
                self._process = subprocess.Popen(
                    [sys.executable, *self.args],
                    **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err},
                    **{"cwd": cwd, "env": env, "start_new_session": start_new_session},
                )
        else:
            arguments = (self.args, cwd, env, [*map(str, self._files)], start_new_session, _servers())
            self._process = _context.Process(target=_run, args=arguments)
            self._process.start()
        self.pid = self._process.pid

    @property
    def stdout(self):
        return self._files[0].read_text()

    @property
    def stderr(self):
        return self._files[1].read_text()

    def poll(self):
        """Return its exit code, or None while it runs."""
        if isinstance(self._process, subprocess.Popen):
            self.returncode = self._process.poll()
        else:
            self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout=None):
        """Wait until it ends, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs after so many seconds.
        """
        if isinstance(self._process, subprocess.Popen):
            self._process.wait(timeout)
        else:
            self._process.join(timeout)
            if self._process.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        return self.poll()

    def kill(self):
        self._process.kill()

    def communicate(self, timeout=None):
        """Wait until it ends, and return what it has printed: standard output, standard error."""
        self.wait(timeout)
        return self.stdout, self.stderr

    def finish(self, timeout=400):
        """Wait until it ends, without an error, and return its standard output."""
        self.wait(timeout)
        assert self.returncode == 0, self.stdout
        return self.stdout

    def wait_for(self, condition, timeout=200):
        """Wait, while it runs, until a condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.poll() is None, self.stdout
            assert time.monotonic() < deadline
            time.sleep(0.01)


def run(*words, timeout=600, **options):
    """Run a command to its end, or kill it after so many seconds, and return its exit code and output.

    Args:
        words: See `Command`.
        timeout: In seconds.
        options: See `Command`.
    """
    command = Command(*words, **options)
    try:
        return subprocess.CompletedProcess(command.args, command.wait(timeout), command.stdout, command.stderr)
    finally:
        if command.poll() is None:
            command.kill()
            command.wait()


def _serves(env):
    """Start the fork server, unless it runs, and return whether its TensorFlow is the one of this environment."""
    if not _of_server:
        _of_server.update({"": ""} | _read_at_import(os.environ))
        with quiet_stderr(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # a fork has no line about CUDA, either
            forkserver.ensure_running()
    return {"": ""} | _read_at_import(env) == _of_server


def _read_at_import(env):
    return {name: value for name, value in env.items() if name.startswith(READ_AT_IMPORT)}


class _OfTests:
    """Stands for the process of a server that the process of the tests has started and will stop."""

    def kill(self):
        """Leave it."""

    wait = kill


def _servers():
    """Return {key: socket} of the servers that run artifacts; a command of its own would import TensorFlow again."""
    from export.runtime import process

    if not process.is_available():
        return {}
    environment = process._environment([str(process.PROTOCOL)])
    with process._lock:
        return {process._key(kind, environment): process._control(kind, environment) for kind in ("keras", "c_api")}


def _use(servers):
    from export.runtime import process

    process._servers.update({key: (control, _OfTests()) for key, control in servers.items()})


def _run(words, cwd, env, files, leads_group, servers):
    gc.freeze()  # a collection would visit, and so copy, the objects of the imports
    if leads_group:
        os.setsid()
    for number, path in zip((1, 2), files, strict=True):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    faulthandler.enable()  # a crash shows where, in what the command has printed
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # as TMPDIR says
    paths = [path for path in sys.path if path not in ("", ROOT)]  # pytest has added the second
    paths[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and path not in paths]
    first, *rest = words
    sys.modules.pop("tests.commands", None)
    sys.modules.pop("tests", None)
    try:
        if first == "-m":
            sys.path[:], sys.argv[:] = [cwd, *paths], rest
            _use(servers)
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        elif first == "-c":
            sys.path[:], sys.argv[:] = ["", *paths], ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.path[:], sys.argv[:] = [str(Path(first).parent), *paths], words
            runpy.run_path(first, run_name="__main__")
    finally:
        atexit._run_exitfuncs()
