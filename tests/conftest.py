"""Files that all tests share, and what commands change in their process, which is undone after each test."""

import gc
import logging
import os
import signal

import pytest
from filelock import FileLock

if "PYTEST_XDIST_WORKER" in os.environ:  # the processes share the cores, where idle threads of OpenMP would only spin
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = [f"tests.plugins.{name}" for name in ("changed", "litter", "needs", "skipping", "tiers", "timeline")]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in background jobs of a shell: programs would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # while the tests are imported


def pytest_collection_finish():
    """Exclude what is imported from garbage collection: half a million objects, visited each time for nothing."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _settings_of_commands():
    """Restore ZOO_DEBUG, which `--debug` sets, and the log of `pipelines`, which a console shows."""
    log = logging.getLogger("pipelines")
    debug, level, propagate, handlers = os.environ.get("ZOO_DEBUG"), log.level, log.propagate, list(log.handlers)
    yield
    log.setLevel(level)
    log.propagate = propagate
    log.handlers[:] = handlers
    if debug is None:
        os.environ.pop("ZOO_DEBUG", None)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Return a function: name, `make(path)` -> the path, which `make` has written once for all processes.

    The processes of pytest-xdist share what is made: whoever needs it first makes it, another one waits.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name, make):
        path, finished = base / name, base / f"{name}.finished"
        with FileLock(base / f"{name}.lock"):
            if not finished.exists():
                make(path)
                finished.touch()
        return path

    return get
