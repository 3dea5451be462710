"""Where data is looked for: the search order, the cache, and how a prepared folder comes to be whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import logging
import os
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pipelines.errors import MISSING, DataError, NotHere

T = TypeVar("T")
log = logging.getLogger("pipelines")
_STAMP = "files.json"  # what a prepared folder holds: relative path -> size


@dataclass(frozen=True)
class Source(Generic[T]):
    """One place where data may be.

    Attributes:
        name: What the place is, as a person would say it: "Debian package dataset-fashion-mnist".
        look: A look that costs a few seconds at most; raises `NotHere` with the reason when there is nothing.
        take: Returns the data, however long that takes; may still raise `NotHere`.
        remark: What to say beside the name when it takes long, such as ", preparing it once".
    """

    name: str
    look: Callable[[], object]
    take: Callable[[], T]
    remark: str = ""


def search(dataset: str, sources: Sequence[Source[T]], mend: str) -> tuple[str, T]:
    """Ask the sources in order; the first that has the data wins, and one line of the log says which it is.

    Args:
        dataset: Name of the dataset, for the messages.
        sources: The places, in order.
        mend: The one command that helps when no source has the data.

    Returns:
        The name of the source that had it, and what it gave.

    Raises:
        DataError: No source has it; the message lists each place that was looked at.
    """
    reasons = []
    for source in sources:
        try:
            source.look()
            log.info("%s: %s%s", dataset, source.name, source.remark)
            return source.name, source.take()
        except NotHere as reason:
            reasons.append(f"{source.name} ({reason})")
    raise DataError(f"{dataset} is nowhere to be found; looked at: {'; '.join(reasons)}. Try: {mend}", MISSING)


def prepared_once(
    dataset: str, kept: Mapping[Path, Callable[[Path], T]], fresh: Callable[[], Sequence[Source[T]]], mend: str
) -> tuple[str, T]:
    """Read what was prepared before, else prepare it, under the lock of the cache.

    Args:
        dataset: Name of the dataset, for the messages.
        kept: Folders of one cache that `staged` makes, and how each is read.
        fresh: Makes the sources that prepare one of the folders; asked only when none is whole.
        mend: The one command that helps when no source has the data.

    Returns:
        The name of the source that had it, and what it gave.

    Raises:
        DataError: No source has it, or the cache cannot be written.
    """
    ready = [
        Source(f"prepared cache {folder}", functools.partial(prepared, folder), functools.partial(read, folder))
        for folder, read in kept.items()
    ]
    if any(whole(folder) for folder in kept):  # needs no lock, so that a read-only cache will do
        return search(dataset, ready, mend)
    with locked(next(iter(kept)).parent):
        return search(dataset, [*ready, *fresh()], mend)


def there(path: Path) -> None:
    """Raise `NotHere` unless the path exists."""
    if not path.exists():
        raise NotHere("not there")


def prepared(folder: Path) -> None:
    """Raise `NotHere` unless the folder was made by `staged` and is whole."""
    there(folder)
    if not whole(folder):
        raise NotHere("damaged")


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


def look_ahead(url: str, seconds: float = 3.0) -> None:
    """Ask whether a URL answers, in `seconds` at most, before a downloader that would retry for minutes is started.

    The request is made in a thread because a stuck name lookup has no timeout of its own; urllib honours proxies.

    Raises:
        NotHere: No good answer in time.
    """
    answer: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                answer.append("")
        except Exception as error:  # whatever it is, the network does not give us the file
            answer.append(str(getattr(error, "reason", error)) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if reason := answer[0] if answer else f"no answer in {seconds:g} s":
        raise NotHere(reason)
