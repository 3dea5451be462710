"""This process: its job, its bounds, and where this project caches what it downloads. Only the standard library.

`confine` lets the kernel forbid everything but what is named. Landlock (docs.kernel.org/userspace-api/landlock.html,
ABI 1 to 7) restricts files, TCP, abstract sockets and signals; an empty network namespace, where the kernel allows one,
all other networks. The rules hold for threads and processes that are started afterwards, and cannot be lifted.

`python -P machine.py CONFINEMENT PROGRAM WORD...` becomes another program, confined; the first word is JSON, the
arguments of `confine`.
"""

import contextlib
import ctypes
import importlib.util
import json
import math
import os
import signal
import site
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import resource

PR_SET_PDEATHSIG = 1  # of linux/prctl.h

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
PATH_BENEATH, NO_NEW_PRIVS = 1, 38
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
EXECUTE, WRITE, READ, READ_FOLDER, TRUNCATE, DEVICE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE | READ | TRUNCATE | DEVICE
ALL_OF = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> number of rights of files that it knows
LARGEST_FILE = 2**33  # bytes of a file that is written

# What a runtime reads besides its own libraries: processors, memory, devices without content, time zones
SYSTEM = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system", "/sys/fs/cgroup"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/proc/sys/kernel"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)
state: dict[str, Any] = {"landlock": 0, "network": True}  # of this process


def end_with_parent() -> None:
    """Let the kernel end this process when its parent ends, also where that is killed; on Linux only."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def read_job() -> dict[str, Any]:
    """Return the job given on the command line; limit memory and time of this process, and end it with its parent."""
    job = json.loads(Path(sys.argv[1]).read_text())
    end_with_parent()
    if job["memory"]:
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    if seconds := job.get("cpu_seconds"):
        soft = math.ceil(seconds)  # SIGXCPU, and SIGKILL a little later
        resource.setrlimit(resource.RLIMIT_CPU, tuple(_limit(s, resource.RLIMIT_CPU) for s in (soft, soft + 5)))
    return job


def answer_job(function: Callable[[dict[str, Any]], Any]) -> None:
    """Write what a function returns for the job, as JSON, to the file that the job names as its result."""
    job = read_job()
    Path(job["result"]).write_text(json.dumps(function(job)))


@contextlib.contextmanager
def captured_messages() -> Iterator[Callable[[], str]]:
    """Yield a function that returns what C++ code has written to standard error inside the block."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def read() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def cache_folder() -> Path:
    """Return the path of the cache: $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    cache = os.environ.get("ZOO_CACHE")
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "keras-proof-zoo"
    return base.expanduser().absolute()


def libraries() -> list[str]:
    """Return the folders and files from which this interpreter imports."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values(), site.getusersitepackages()}
    paths |= {path for path in sys.path if path.endswith("-packages")}  # of an environment that adds another's
    paths |= {os.path.expanduser("~/.keras/keras.json"), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    return [*paths, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def folder_with(package: str, file: str) -> Path | None:
    """Return the folder of an installed package, which is not imported, if a file is in it; else None."""
    spec = importlib.util.find_spec(package)
    folders = map(Path, (spec.submodule_search_locations or ()) if spec else ())
    return next((folder for folder in folders if (folder / file).is_file()), None)


def abi() -> int:
    """Return the version of Landlock of this kernel; 0 if there is none."""
    return max(_libc.syscall(CREATE_RULESET, None, 0, 1), 0) if sys.platform == "linux" else 0


def confine(reads: Iterable[str], writes: Iterable[str], network: bool = False) -> None:
    """Confine this process, which must have one thread, as far as the kernel can; `state` says how far."""
    if not network:
        state["network"] = not _leave_network()
    if version := abi():
        _restrict(version, [*libraries(), *SYSTEM, *reads], [*DEVICES, *writes], network)
        state["landlock"] = version
    resource.setrlimit(resource.RLIMIT_FSIZE, (_limit(LARGEST_FILE, resource.RLIMIT_FSIZE),) * 2)


def _leave_network() -> bool:
    """Enter an empty network namespace; return whether the kernel allows that."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(NEW_NETWORK) == 0:  # root
        return True
    if _libc.unshare(NEW_USER | NEW_NETWORK) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def _restrict(version: int, reads: Iterable[str], writes: Iterable[str], network: bool) -> None:
    handled = (1 << ALL_OF.get(version, max(ALL_OF.values()))) - 1
    attributes = struct.pack(
        "=QQQ", handled, 0 if network or version < 4 else 3, 3 if version >= 6 and not network else 0
    )
    attributes = attributes[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in reads:
            _allow(ruleset, path, EXECUTE | READ | READ_FOLDER, handled)
        for path in writes:
            _allow(ruleset, path, handled & ~EXECUTE, handled)
        if _libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "prctl")
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int, handled: int) -> None:
    """Add a rule for a path; one that does not exist has none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= handled if os.path.isdir(path) else handled & OF_FILES
        _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes) -> int:
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "Landlock")
    return result


def _limit(size: int, kind: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return size if hard == resource.RLIM_INFINITY else min(size, hard)


if __name__ == "__main__":
    confine(**json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
