"""Files and folders that are whole or absent: atomic writes, locks, staging folders, checksums, the cache."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoobase.errors import CheckFailed, Unavailable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# When its standard input ends; and once more, because processes that end with this one, such as Ray's, still write.
REMOVE_AT_END = ("/bin/sh", "-c", 'read -r _; rm -rf -- "$0"; sleep 10; exec rm -rf -- "$0"')


LARGEST_SPARSE = 2**30  # bytes of a file that may have holes, as compressing file systems make them


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Return the folder of downloads: `cache_dir`, else $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "keras-proof-zoo"
    return Path(cache_dir or os.environ.get("ZOO_CACHE") or base).expanduser().absolute()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_dense(path: Path) -> None:
    """Raise CheckFailed for a large file that is almost nothing but holes: reading them takes time without end."""
    status = path.stat()
    on_disk = getattr(status, "st_blocks", status.st_size) * 512
    if status.st_size > LARGEST_SPARSE and on_disk < status.st_size / 100:
        raise CheckFailed(
            f"{path} is refused: of its {status.st_size / 1e9:,.0f} GB {on_disk / 1e6:,.0f} MB are on the disk"
        )


def check_present(path: Path) -> None:
    """Raise Unavailable unless a file exists."""
    if not path.is_file():
        raise Unavailable(f"there is no file {path}; give the path of one")


@contextlib.contextmanager
def locked(path: Path, wait: bool = True, create: bool = True) -> Iterator[int]:
    """Lock a folder, or a file that is created if necessary, against other processes, and yield its descriptor."""
    # The kernel releases the lock when the process ends, also when it is killed. Without `create` a path that another
    # process removes meanwhile is not created. BlockingIOError if it is locked and `wait` is False.
    flags = os.O_RDONLY if path.is_dir() or not create else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def staging(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder PREFIX... in `parent`, which is removed at the end unless it was renamed."""
    # Locked while this process lives; folders of that prefix that none locks are of killed processes: removed.
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, prefix)
    with contextlib.ExitStack() as stack:
        try:
            while True:
                folder = parent / f"{prefix}{secrets.token_hex(6)}"
                folder.mkdir()
                with contextlib.suppress(FileNotFoundError):  # removed by another process before it was locked
                    try:
                        descriptor = stack.enter_context(locked(folder, create=False))
                    except FileNotFoundError:
                        raise
                    except OSError:
                        break  # this file system has no locks
                    if os.path.samestat(os.stat(folder), os.fstat(descriptor)):
                        break
            yield folder
        finally:  # a signal may be received as soon as the folder is there
            discard(folder)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders PREFIX... of killed processes in `parent`: those that no process locks."""
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError), locked(folder, wait=False, create=False):  # also where none can be locked
            discard(folder)


def own_temporary_folder() -> None:
    """Give this process, and those that it starts, a temporary folder that is removed when it ends."""
    # Libraries leave files where a process is killed or ends by `os._exit`. A shell waits for the end of this process.
    folder = tempfile.mkdtemp(prefix="zoo-")
    reading, _ = os.pipe()  # the other end is closed when this process ends
    try:
        options = {"stdin": reading, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        shell = subprocess.Popen([*REMOVE_AT_END, folder], start_new_session=True, **options)
        shell.returncode = 0  # nobody waits for it
    finally:
        os.close(reading)
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def is_full(error: BaseException) -> bool:
    """Return whether an error, or a cause of it, is that no more can be written: the disk, a quota, a limit."""
    causes: set[BaseException] = set()
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.add(cause)
        cause = cause.__cause__ or cause.__context__
    return any((isinstance(e, OSError) and e.errno in FULL) or os.strerror(errno.ENOSPC) in str(e) for e in causes)


def check_space(folder: Path) -> None:
    """Raise OSError if less than 1 MB can be written to a folder: what failed there failed for that."""
    state = os.statvfs(folder)
    if state.f_bavail * state.f_frsize < 1 << 20:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one sentence: what the block has written by then is removed."""
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise CheckFailed(
            f"nothing was written to {folder}: there is no space left on it or on {tempfile.gettempdir()}; free some "
            "and run the command again"
        ) from error


def discard(folder: Path) -> None:
    """Remove a folder of temporary files."""
    shutil.rmtree(folder, ignore_errors=True)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file atomically: readers see the old or the new content, also if this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_with_checksum(path: Path, content: bytes) -> None:
    """Write a file atomically, with its SHA-256 beside it in `NAME.sha256`, in the format of coreutils."""
    # The checksum is written first, and that of the old content remains on a second line: if this process is killed
    # between the two files, the old content still has its checksum.
    digests = [hashlib.sha256(content).hexdigest(), *([sha256(path)] if path.is_file() else [])]
    write_atomic(checksum_file(path), "".join(f"{digest}  {path.name}\n" for digest in digests))
    write_atomic(path, content)


def is_intact(path: Path) -> bool:
    """Return whether a file has the content that `write_with_checksum` wrote; True if it has no checksum."""
    sums = checksum_file(path)
    return not sums.is_file() or (path.is_file() and sha256(path) in sums.read_text(errors="replace").split())


def checksum_file(path: Path) -> Path:
    """Return the file with the checksum of a file."""
    return path.with_name(f"{path.name}.sha256")


_ABSOLUTE = re.compile(r"(?:(?<![\w:/.~])|(?<!\w)~)/(?:[^\s'\",;:/]+/)*[^\s'\",;:/]+")


def without_folders(value: Any) -> Any:
    """Return a text, or the texts in JSON, with existing paths of this machine cut down to their last part."""
    if isinstance(value, str):
        return _ABSOLUTE.sub(
            lambda m: os.path.basename(m[0]) if os.path.exists(os.path.expanduser(m[0])) else m[0], value
        )
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    return [without_folders(item) for item in value] if isinstance(value, list | tuple) else value
