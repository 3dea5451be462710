"""The cache of prepared data: lock, atomic folders and files, checksums."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipelines.errors import USAGE, DataError

log = logging.getLogger("pipelines")
LARGEST_FILE = 250_000_000  # bytes of an image or a table
LARGEST_TEXT = 100_000_000  # bytes of a text, whose words take many times its size in memory
_STAMP = "files.json"  # content of a prepared folder: relative path -> size


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Return the folder of prepared data: `cache_dir`, else $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    if cache_dir or os.environ.get("ZOO_CACHE"):
        return Path(cache_dir or os.environ["ZOO_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "keras-proof-zoo"


def open_lock(folder: Path) -> IO[str]:
    """Open the file `.lock` of a folder for `fcntl.flock`; it is created if necessary, never truncated.

    Raises:
        OSError: It cannot be opened, or is a symbolic link.
    """
    return open(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, so that two processes never prepare the same data at the same time.

    The kernel releases the lock when the process ends, also when it is killed.

    Raises:
        DataError: The folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock(folder)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder}: {error.strerror}; choose another with --cache-dir"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("waiting for another process that prepares %s", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield an empty folder, which is renamed to `target` if the block succeeds, else removed.

    Must be used under `locked`: files of a killed process in the staging folder are removed on entry.
    """
    stage = target.with_name(f".{target.name}.incomplete")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
        files = (path for path in stage.rglob("*") if path.is_file())
        sizes = {str(path.relative_to(stage)): path.stat().st_size for path in files}
        (stage / _STAMP).write_text(json.dumps(sizes))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def is_complete(folder: Path) -> bool:
    """Return whether a folder written with `staged` still has every file at its full size."""
    try:
        sizes = json.loads((folder / _STAMP).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file atomically: readers see the old or the new content, also if this process is killed.

    Raises:
        OSError: The file cannot be written, for example because the disk is full; the old content is kept.
    """
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
    """Write a file atomically, with its SHA-256 beside it in `NAME.sha256`, in the format of coreutils.

    The checksum is written first, and that of the old content remains on a second line: if this process is killed
    between the two files, the old content still has its checksum.
    """
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


def check_size(path: Path, largest: int = LARGEST_FILE) -> None:
    """Check that a file of the user can be read into memory: a device such as /dev/zero has no end.

    Raises:
        OSError: The file does not exist.
        DataError: It is neither a plain file nor a folder, or it has more than `largest` bytes.
    """
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise DataError(f"{path} is not a plain file; copy its content to one", USAGE)
    if stat.S_ISREG(status.st_mode) and status.st_size > largest:
        raise DataError(
            f"{path} has {status.st_size / 1e6:,.0f} MB; files of more than {largest / 1e6:,.0f} MB are not read",
            USAGE,
        )


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
