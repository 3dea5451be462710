"""Run a script in a process of its own with limits of time and memory: a new interpreter, or forked from a server.

The fork servers of this process have loaded TensorFlow: there is one with Keras and one with the C API for each
environment that they read when they are loaded, such as that of other kernels.
"""

import atexit
import contextlib
import importlib.machinery
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.runtime import onednn
from zoobase.errors import ExportError
from zoobase.plugins import loaded_module

RUNNERS = Path(__file__).parent.parent / "runners"
PROTOCOL = Path(__file__).parent.parent / "protocol"
SERVER, LAUNCHER = PROTOCOL / "fork_server.py", PROTOCOL / "launch.py"
WAITS = 10  # times its limit of CPU time, the wall time that a process may take
TIMEOUT = 900.0  # seconds for one process; the environment variable EXPORT_TIMEOUT overrides it
VARIABLE = "EXPORT_FORK_SERVER"  # "0" in the environment starts every runner as a new interpreter instead
_READ_AT_IMPORT = (
    *("TF_", "TENSORFLOW_", "KERAS_", "XLA_", "ONEDNN_", "DNNL_", "CUDA_", "OMP_", "OPENBLAS_"),
    *("PYTHON", "LD_", "HOME"),
)
# Variables that other processes are given: a file under test could read a secret from the others, and return it.
PASSED = (
    *_READ_AT_IMPORT,
    *("PATH", "LANG", "LC_", "TZ", "TMPDIR", "XDG_CACHE_HOME", "VIRTUAL_ENV", "MALLOC_", "OPENVINO_", "ORT_", "XNN"),
    *("EXPORT_", "ZOO_", "TFHUB_", "CHROMIUM", "COVERAGE_", "CI"),
)
_LARGEST_COUNT = 2  # servers of a kind at a time: the usual environment and that of other kernels
_Key = tuple[str, frozenset[tuple[str, str]]]  # what it has loaded, "keras" or "c_api", and its environment
_lock = threading.Lock()
_servers: dict[_Key, tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def is_available() -> bool:
    """Return whether processes can be forked here and the environment does not exclude it."""
    return sys.platform == "linux" and os.environ.get(VARIABLE, "1") != "0"


def _submit(kind: str, request: Mapping[str, Any]) -> socket.socket:
    """Run a script in a process forked from one that has loaded "keras" or "c_api"."""
    # The server of an environment is started at the first call, and ends with this process, or when two others of its
    # kind have been started since. The socket receives the exit code in decimal digits, or is closed where the server
    # cannot run. Closing its sending side, or all of it, kills the process.
    ours, theirs = socket.socketpair()
    message, environment = json.dumps(request).encode(), request["environment"]
    with theirs, _lock:
        try:
            socket.send_fds(_control(kind, environment), [message], [theirs.fileno()])
        except ConnectionError:  # the server was killed
            _stop(_key(kind, environment))
            socket.send_fds(_control(kind, environment), [message], [theirs.fileno()])
    return ours


def start_fork_server() -> None:
    """Start the usual server, so that it imports TensorFlow while the caller does other work."""
    if is_available():
        with _lock:
            _control("keras", _environment([str(PROTOCOL)]))


@atexit.register
def stop() -> None:
    """Stop all servers; processes that run are not affected."""
    for key in list(_servers):
        _stop(key)


def _stop(key: _Key, kill: bool = True) -> None:
    control, process = _servers.pop(key)
    control.close()  # after the requests that were sent before, the server ends
    if kill:
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
        _stop(same[0], kill=False)  # it may not yet have read a request
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", str(SERVER), str(theirs.fileno()), kind],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=SERVER.parent,
            env=dict(environment),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    _servers[key] = ours, process
    return ours


@dataclass(frozen=True)
class ProcessResult:
    """The result of a process."""

    problem: str | None  # None if it succeeded, else one clause, such as "crashed with SIGSEGV"
    timed_out: bool  # whether it exceeded the time limit
    seconds: float  # wall time


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_limit() -> int | None:
    """Return the memory limit of one process in bytes: nine tenths of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10
    except (AttributeError, ValueError, OSError):
        return None


@contextlib.contextmanager
def bounded_memory(file: Path) -> Iterator[None]:
    """Limit what this process may allocate while it loads a file: 2 GiB and ten times its size. Linux only."""
    # A few bytes of configuration can ask for a layer of any size.
    if sys.platform != "linux":
        yield
        return
    import resource

    status = Path("/proc/self/status").read_text()
    used = int(status.partition("VmData:")[2].split()[0]) << 10
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    largest = used + 2**31 + 10 * file.stat().st_size
    soft = min([largest, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (soft, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def time_limit() -> float:
    """Return the time limit of one process in seconds."""
    text = os.environ.get("EXPORT_TIMEOUT", str(TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ExportError(f"EXPORT_TIMEOUT={text!r} is not a positive number of seconds: set it again, or unset it")
    return seconds


def run_script(
    script: str,
    job: dict[str, Any],
    folder: Path,
    packages: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    forked_from: str | None = None,
    reads: Iterable[str | Path] = (),
    writes: Iterable[str | Path] = (),
    network: bool = False,
    python: str | None = None,
    seconds: float | None = None,
    memory: int | None = None,
) -> ProcessResult:
    """Run `runners/<script>` on a job in a process of its own and wait for it."""
    # It finds the folders of the runners and of the protocol on its path, and the packages that are named. Before it
    # loads anything of the job, the kernel confines it to what is named here, the scratch folder, which has its
    # temporary files, and the libraries: see `export.protocol.machine`. `seconds` are of CPU time.
    path, folder = RUNNERS / script, folder.resolve()
    job_file, log_file = folder / f"{path.name}.json", folder / f"{path.name}.log"
    limit, writes = time_limit(), [*writes]
    timeout = WAITS * seconds if seconds else limit
    for target in writes:
        os.makedirs(target, exist_ok=True)
    paths = [str(PROTOCOL), str(RUNNERS), str(RUNNERS / "jobs"), *filter(None, map(home_of, packages))]
    allowed = {
        "reads": [*map(os.path.realpath, reads), *paths, str(path)],
        "writes": [str(folder), *map(os.path.realpath, writes)],
    }
    limits = {"memory": memory or memory_limit(), "cpu_seconds": seconds, "confine": allowed | {"network": network}}
    job_file.write_text(json.dumps(job | limits))
    environment = {"TMPDIR": str(folder), **(environment or {})}
    files = {"script": str(path), "job": str(job_file), "log": str(log_file), "cwd": str(folder)}
    started = time.monotonic()
    try:
        code = None
        if forked_from and is_available():
            of_server = _environment([str(PROTOCOL)], environment)
            code = _fork(forked_from, {**files, "paths": paths, "environment": of_server}, timeout)
        if code is None:
            code = _spawn(files, _environment(paths, environment), timeout, python or sys.executable)
    except TimeoutError:
        return ProcessResult(f"stopped after {timeout:g} s", True, time.monotonic() - started)
    elapsed = time.monotonic() - started
    if code == 0:
        return ProcessResult(None, False, elapsed)
    if code == -signal.SIGXCPU:
        return ProcessResult(f"stopped after {seconds:g} s of CPU time", True, elapsed)
    how = f"crashed with {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return ProcessResult(f"{how}: {lines[-1][:300]}" if lines else how, False, elapsed)


def run_job(
    script: str, job: Mapping[str, Any], folder: Path, forked_from: str | None = None, **options: Any
) -> tuple[dict[str, Any] | None, str | None]:
    """Run a script as `run_script` does; return the JSON that it wrote and None, or None and what went wrong."""
    file = folder / f"{Path(script).name}.result.json"
    result = run_script(script, {**job, "result": str(file)}, folder, forked_from=forked_from, **options)
    if result.problem or not file.exists():
        return None, result.problem or "wrote no result"
    return json.loads(file.read_text()), None


def _fork(kind: str, request: Mapping[str, Any], timeout: float) -> int | None:
    """Run a script in a process forked from one that has loaded `kind`; return its exit code, or None."""
    try:
        submitted = _submit(kind, request)
    except OSError:  # such as an environment that is too large for a message
        return None
    with submitted as connection:
        connection.settimeout(timeout)
        try:
            return int(connection.recv(16) or b"none")
        except ValueError:  # the server ended
            return None
        finally:  # also on Ctrl-C: kill the process and wait until it is gone
            connection.settimeout(None)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(16)


def _spawn(files: Mapping[str, str], environment: Mapping[str, str], timeout: float, python: str) -> int:
    """Run a script in a new interpreter; return its exit code."""
    with open(files["log"], "wb") as stream:
        process = subprocess.Popen(
            [python, "-P", str(LAUNCHER), files["script"], files["job"]],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=files["cwd"],
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:  # also on Ctrl-C
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _environment(paths: Sequence[str] = (), changes: Mapping[str, str] | None = None) -> dict[str, str]:
    environment = onednn.DEFAULT | {k: v for k, v in os.environ.items() if k.startswith(PASSED)}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PYTHONHASHSEED": "0"}
    if paths:
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([*paths, *([inherited] if inherited else [])])
    return environment | dict(changes or {})


def protocol_path() -> dict[str, str]:
    """Return the environment in which another interpreter finds the protocol by their plain names."""
    return {"PYTHONPATH": str(PROTOCOL)}


def home_of(package: str) -> str | None:
    """Return the folder that an installed package is imported from; what only the current folder holds is not one."""
    loaded = getattr(loaded_module(package), "__path__", None)
    if loaded:
        return str(Path(next(iter(loaded))).resolve().parent)
    here = os.path.realpath(os.getcwd())
    named = {os.path.realpath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p}
    path = [p for p in sys.path if p and (os.path.realpath(p) != here or here in named)]
    spec = importlib.machinery.PathFinder.find_spec(package, path)
    for finder in sys.meta_path:  # such as that of an editable install
        if spec is None and finder is not importlib.machinery.PathFinder and hasattr(finder, "find_spec"):
            spec = finder.find_spec(package, None)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return str(Path(next(iter(spec.submodule_search_locations))).resolve().parent)
    return str(Path(spec.origin).resolve().parent) if spec.origin and os.path.exists(spec.origin) else None
