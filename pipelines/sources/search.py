"""The search for data: the sources of a dataset in order, and the cache of prepared data."""

import functools
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pipelines.sources.storage import is_complete, log, preparing
from zoobase.errors import MISSING, DataError, SourceUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Source(Generic[T]):
    """A possible source of data, such as "Debian package dataset-fashion-mnist"."""

    name: str
    check: Callable[[], object]  # in a few seconds at most; raises `SourceUnavailable` with the reason
    load: Callable[[], T]  # may take long, and may still raise `SourceUnavailable`
    remark: str = ""  # on the name in the log if loading takes long, such as ", preparing it once"


def search(dataset: str, sources: Sequence[Source[T]], hint: str) -> tuple[str, T]:
    """Try the sources in order; the first that has the data is used and logged."""
    reasons = []
    for source in sources:
        try:
            source.check()
            log.info("%s: %s%s", dataset, source.name, source.remark)
            return source.name, source.load()
        except SourceUnavailable as reason:
            reasons.append(f"{source.name} ({reason})")
    raise DataError(f"{dataset} is not available; sources tried: {'; '.join(reasons)}. Try: {hint}", MISSING)


def load_prepared(
    dataset: str, cached: Mapping[Path, Callable[[Path], T]], make_sources: Callable[[], Sequence[Source[T]]], hint: str
) -> tuple[str, T]:
    """Read prepared data from the cache, else prepare it, under the lock of the cache."""
    prepared_sources = [
        Source(f"prepared cache {folder}", functools.partial(prepared, folder), functools.partial(read, folder))
        for folder, read in cached.items()
    ]
    if any(is_complete(folder) for folder in cached):  # without a lock, so that a read-only cache can be used
        return search(dataset, prepared_sources, hint)
    with preparing(next(iter(cached)).parent):
        return search(dataset, [*prepared_sources, *make_sources()], hint)


def check_exists(path: Path) -> None:
    """Raise `SourceUnavailable` unless the path exists."""
    if not path.exists():
        raise SourceUnavailable("does not exist")


def prepared(folder: Path) -> None:
    """Raise `SourceUnavailable` unless the folder was written with `staged` and is complete."""
    check_exists(folder)
    if not is_complete(folder):
        raise SourceUnavailable("damaged")


def check_url(url: str, seconds: float = 3.0) -> None:
    """Check within `seconds` that a URL responds, before a download that would retry for minutes."""
    # The request is made in a thread because a name lookup has no timeout of its own; urllib honours proxies.
    result: list[str] = []

    def request() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                result.append("")
        except Exception as error:  # any error means that the file is not available
            result.append(str(getattr(error, "reason", error)) or type(error).__name__)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(seconds)
    if reason := result[0] if result else f"no response in {seconds:g} s":
        raise SourceUnavailable(reason)
