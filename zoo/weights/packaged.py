"""Weights of others in packages: found, checked by their sha256 and converted to Keras once.

No code of a package is run: its file is read by the restricted readers of this folder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pipelines.dataset import Info
from pipelines.sources import search, storage
from pipelines.sources.packages import Npm, Wheel
from zoo.core import registry
from zoo.core.spec import Weights
from zoo.core.weight_files import write_description
from zoobase.errors import ZooError
from zoobase.files import cache_root, sha256

if TYPE_CHECKING:
    import keras

T = TypeVar("T")


Arrange = Callable[[str, np.ndarray, tuple[int, ...]], np.ndarray]  # (path of a variable, tensor, shape)


def as_it_is(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the tensor."""
    return tensor


@functools.cache
def facts() -> dict[str, dict[str, Any]]:
    """Return what `packages.json` pins, by model."""
    return json.loads(Path(__file__).with_name("packages.json").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class PackagedWeights:
    """A file with weights in a package of Python or of npm."""

    name: str  # of the model
    wheel: Wheel | Npm
    file: str  # path below `wheel.folder`, or the name of the member
    sha256: str  # of the file, checked wherever it comes from
    size: int  # bytes
    licence: str
    trained_on: str
    tensors: Callable[[Path], Mapping[str, np.ndarray]]  # those of the file by name
    tensor_name: Callable[[str], str] | None = None  # of the path of a variable; None: the order is the same
    arrange: Arrange = as_it_is  # the tensor as Keras has it, such as transposed
    model: Mapping[str, Any] = field(default_factory=dict)  # builder arguments
    others: Mapping[str, str] = field(default_factory=dict)  # sha256 of files beside it that are read
    homepage: str = ""
    difference: float = 0.0  # from the program of its makers, of the largest output, as the proofs measured it
    features: Mapping[str, str] = field(default_factory=dict)  # of the data; empty: only a beginning for a training
    known: Callable[[Path], Mapping[str, Any]] | None = None  # what predictions need: class names, vocabulary

    @classmethod
    def pinned(cls, name: str, **conversion: Any) -> PackagedWeights:
        """Return the weights of a model whose file, digest and licence are in `packages.json`."""
        pinned = dict(facts()[name])
        wheel = Npm(*pinned.pop("npm")) if "npm" in pinned else Wheel.pinned(pinned.pop("package"))
        return cls(name=name, wheel=wheel, **pinned, **conversion)

    @property
    def source(self) -> str:
        """Package, version and file."""
        registry = "npm" if isinstance(self.wheel, Npm) else "PyPI"
        return f"{registry} {self.wheel.package} {self.wheel.version}, {self.file}"

    def weights(self) -> Weights:
        """Return the entry of a model's `weights`."""
        about = (self.source, self.sha256, self.licence)
        return Weights(*about, self.model, self.fetch, self.size, self.trained_on)

    def fetch(self) -> Path:
        """Return the converted weights file."""
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
        modules = (registry.get_entry(self.name).module, self.tensors.__module__, self.arrange.__module__, __name__)
        files = (importlib.util.find_spec(module).origin for module in modules)
        parts = [self.sha256, *map(sha256, files), "described" if self.features else ""]
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
        path, model = self._checked(package), registry.get_builder(self.name)(**self.model)
        self.assign(model, self.tensors(path))
        with storage.staged(folder) as stage:
            file = stage / "model.weights.h5"
            model.save_weights(file)
            if self.features:
                known = {} if self.known is None else self.known(path)
                about = {"source": self.source, "licence": self.licence, "homepage": self.homepage}
                info = Info(**{"name": self.name, **about, "features": self.features, "counts": {}, **known}).to_json()
                facts = {"arguments": dict(self.model), "info": info, "metrics": {}, "command": f"# {self.source}"}
                write_description(file, facts)
        return folder

    def assign(self, model: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
        """Assign the tensors of the file to a model, each exactly once."""
        remaining = dict(tensors)
        for variable in model.weights:
            name = self.tensor_name(variable.path) if self.tensor_name else next(iter(remaining), "further tensor")
            shape = tuple(variable.shape)
            tensor = remaining.pop(name, None)
            try:
                tensor = None if tensor is None else self.arrange(variable.path, tensor, shape)
            except ValueError:  # another shape
                tensor = None
            if tensor is None or tensor.shape != shape:
                raise ZooError(f"the weights of {self.name} have no {name} of the shape {shape}")
            variable.assign(tensor)
        if remaining:
            raise ZooError(f"the weights of {self.name} have more values than the model: {next(iter(remaining))}")
