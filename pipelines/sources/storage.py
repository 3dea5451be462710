"""The cache of prepared data: its lock, folders that are whole or absent, files that are written whole, checksums."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import DataError

log = logging.getLogger("pipelines")
_STAMP = "files.json"  # what a prepared folder holds: relative path -> size


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Return the folder of prepared data: `cache_dir`, else $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    if cache_dir or os.environ.get("ZOO_CACHE"):
        return Path(cache_dir or os.environ["ZOO_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "keras-proof-zoo"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two processes never prepare the same data at once.

    The kernel drops the lock when its holder dies, so a killed process blocks nobody.

    Raises:
        DataError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "w")  # noqa: SIM115 - closed below, after the lock was held
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
    """Give an empty folder to fill; it becomes `target` by one rename when the block ends well, else it vanishes.

    Must be used under `locked`: what a killed process left in the staging folder is swept away on entry.
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


def whole(folder: Path) -> bool:
    """Tell whether a folder made by `staged` still has every file at its full size."""
    try:
        sizes = json.loads((folder / _STAMP).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a kill, sees the old one or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
