"""Where data is looked for: the sources of a dataset in their order, and the cache of what was prepared before."""

from __future__ import annotations

import functools
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pipelines.errors import MISSING, DataError, NotHere
from pipelines.sources.storage import locked, log, whole

T = TypeVar("T")


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
