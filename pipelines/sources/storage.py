"""The cache of prepared data: lock, atomic folders, and limits of the files that are read."""

import contextlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from zoobase import files
from zoobase.errors import USAGE, DataError

log = logging.getLogger("pipelines")
LARGEST_FILE = 250_000_000  # bytes of an image or a table
LARGEST_TEXT = 100_000_000  # bytes of a text, whose words take many times its size in memory
LOCK = ".lock"
_STAMP = "files.json"  # content of a prepared folder: relative path -> size


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[None]:
    """Lock a folder, so that two processes never prepare the same data at the same time."""
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(files.locked(folder / LOCK, wait=False))
            except BlockingIOError:
                log.info("waiting for another process that prepares %s", folder)
                stack.enter_context(files.locked(folder / LOCK))
        except OSError as error:
            raise DataError(
                f"cannot write to the cache {folder}: {error.strerror}; choose another with --cache-dir"
            ) from error
        yield


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield an empty folder, which is renamed to `target` if the block succeeds, else removed."""
    with files.staging(target.parent, f".{target.name}.incomplete-") as stage:
        yield stage
        sizes = {str(path.relative_to(stage)): path.stat().st_size for path in stage.rglob("*") if path.is_file()}
        (stage / _STAMP).write_text(json.dumps(sizes))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(stage, target)


def is_complete(folder: Path) -> bool:
    """Return whether a folder written with `staged` still has every file at its full size."""
    try:
        sizes = json.loads((folder / _STAMP).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def check_name(path: Path) -> None:
    """Raise DataError for a path that is not UTF-8: names of folders become names of classes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(f"the name of {path} is not UTF-8; rename it", USAGE) from None


def check_size(path: Path, largest: int = LARGEST_FILE) -> None:
    """Check that a file of the user can be read into memory: a device such as /dev/zero has no end."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise DataError(f"{path} is not a plain file; copy its content to one", USAGE)
    if stat.S_ISREG(status.st_mode) and status.st_size > largest:
        raise DataError(
            f"{path} has {status.st_size / 1e6:,.0f} MB; files of more than {largest / 1e6:,.0f} MB are not read", USAGE
        )
