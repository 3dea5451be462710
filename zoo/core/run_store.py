"""A run folder in an object store: worked on in a local copy, which is written to the store after each saved state."""

import hashlib
import os
import shutil
from pathlib import Path

from pipelines.sources import remote, stores
from pipelines.sources.storage import LOCK
from zoobase.errors import DataError
from zoobase.files import cache_root

STATES = "checkpoints/state-"  # written last: a state in the store never refers to a file that is not there


class RunStore:
    """The store and the local copy of one run, `url` and `path`."""

    def __init__(self, url: str, worker: int = 0) -> None:
        remote.check_url(url)
        self.url = url.rstrip("/")
        self.path = cache_root() / "runs" / f"{hashlib.sha256(self.url.encode()).hexdigest()[:20]}-{worker}"
        self._written: dict[str, tuple[int, int]] = {}

    @classmethod
    def of(cls, place: str | Path | None) -> "RunStore | None":
        """Return the store of a run with a local copy, if the place is a URL."""
        if place is None or not remote.is_url(str(place)):
            return None
        store = cls(str(place))
        store.fetch()
        return store

    def fetch(self) -> None:
        """Replace the local copy by what the store holds: nothing for a new run."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        with stores.opened(self.url) as (store, root):
            for name in store.find(root) if store.exists(root) else ():
                target = self.path / os.path.relpath(name, root)
                if not target.resolve().is_relative_to(self.path.resolve()):
                    raise DataError(f"{self.url} has an object outside of it: {name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                store.get_file(name, str(target))
        self._written = self._files()

    def save(self) -> None:
        """Write what has changed to the store, states last, and remove states that are no longer kept."""
        files = self._files()
        changed = [name for name, stamp in files.items() if self._written.get(name) != stamp]
        with stores.opened(self.url) as (store, root):
            for name in sorted(changed, key=lambda name: (name.startswith(STATES), name)):
                store.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
                store.put_file(str(self.path / name), f"{root}/{name}")
            for name in self._written.keys() - files.keys():
                store.rm_file(f"{root}/{name}")
        self._written = files

    def _files(self) -> dict[str, tuple[int, int]]:
        """Return size and time of each file by its path."""
        found = {}
        for path in self.path.rglob("*"):
            if path.is_file() and path.name != LOCK:
                status = Path(path).stat()
                found[path.relative_to(self.path).as_posix()] = (status.st_size, status.st_mtime_ns)
        return found
