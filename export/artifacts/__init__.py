"""What is in an artifact, ours or a stranger's, read without running any of it: one file per format."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export.errors import CheckFailed, ExportError, MissingError
from export.formats.saved_model_versions import served_versions

FLAGS = ("flex", "custom", "random", "stateful")


@dataclass(frozen=True)
class Port:
    """An input or output: its name, NumPy dtype name or "string", and shape (None where unknown), if it is known."""

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A function of an artifact. A file without signatures has one, called ""."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass
class Description:
    """What an artifact is.

    Attributes:
        path: Where it is.
        format: keras, hdf5, weights, saved_model, tflite or onnx.
        size: Bytes on disk, all files.
        producer: {library: version} of what wrote it, as far as it says.
        signatures: Its functions.
        parameters: How many numbers it has learnt, if that can be read.
        operations: {operator or layer class: how often}, what a signature can reach.
        flagged: {"flex", "custom", "random", "stateful": names}: what keeps an artifact from running everywhere, or
            from giving the same answer twice.
        acts: What in it could act on the machine that runs it, a sentence each.
        unlisted: Operators that are not on the list of inference operators; `acts` speaks of them too.
    """

    path: Path
    format: str
    size: int
    producer: dict[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    parameters: int | None = None
    operations: dict[str, int] = field(default_factory=dict)
    flagged: dict[str, list[str]] = field(default_factory=dict)
    acts: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        return asdict(self) | {"path": str(self.path)}


def locate(path: Path) -> tuple[Path, str]:
    """Return where the artifact itself is, and its format, told from its content.

    Args:
        path: A file, a SavedModel, or a base path, whose newest version is taken.

    Raises:
        MissingError: If there is nothing.
        ExportError: If it is none of the formats.
        CheckFailed: If it is a pickle, which runs code when it is read.
    """
    if path.is_dir():
        return _folder(path), "saved_model"
    if not path.is_file():
        raise MissingError(f"there is no artifact {path}; give the path of a file or a SavedModel")
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"TFL3":
        return path, "tflite"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return path, "weights" if path.name.endswith(".weights.h5") else "hdf5"
    if zipfile.is_zipfile(path):
        return path, _zip(path)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise CheckFailed(f"{path} is a pickle, which runs whatever code it holds when it is read; it is never opened")
    if path.suffix == ".onnx":
        return path, "onnx"
    raise ExportError(f"{path} is not a .keras, .h5, .tflite or .onnx file, nor a SavedModel folder")


def _folder(path: Path) -> Path:
    if (path / "saved_model.pb").is_file():
        return path
    if (path / "manifest.json").is_file():
        inside = sorted(p.relative_to(path).as_posix() for p in path.glob("saved_model/*"))
        raise ExportError(
            f"{path} is a bundle; give one of its artifacts, such as {path / (inside or ['model.keras'])[0]}"
        )
    names = [name for found in served_versions(path).values() for name in found]
    if names and (path / names[-1] / "saved_model.pb").is_file():
        return path / names[-1]
    raise ExportError(f"{path} is no SavedModel: it has no saved_model.pb, and no version that has one")


def _zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith((".pkl", ".pickle")) for name in names):
        raise CheckFailed(
            f"{path} holds a pickle, which runs whatever code it holds when it is read; it is never opened"
        )
    if "config.json" in names:
        return "keras"
    raise ExportError(f"{path} is a zip file but no .keras file: it has no config.json")


def describe(path: Path) -> Description:
    """Return what an artifact is.

    Raises:
        MissingError: If there is nothing, or the library that reads it is not installed.
        ExportError: If it cannot be read.
        CheckFailed: If it is a pickle.
    """
    place, format = locate(path)
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    description = Description(place, format, sum(p.stat().st_size for p in files))
    try:
        reader = importlib.import_module(f"export.artifacts.{'hdf5' if format == 'weights' else format}")
        reader.read(description)
    except ImportError as error:
        raise MissingError(f"{path} cannot be read here ({error}); install what is missing") from error
    except ExportError:
        raise
    except Exception as error:  # a damaged file may raise anything
        text = " ".join(str(error).split())[:200]
        raise ExportError(f"{path} cannot be read as {format} ({type(error).__name__}: {text})") from error
    return description


ANY = "any"  # in `trust`: whatever an artifact holds


def refuse(description: Description, trust: Collection[str]) -> None:
    """Raise CheckFailed for an artifact that can act, unless it is trusted.

    Args:
        description: The artifact.
        trust: Names of operators that may be run although they are not on the list of inference operators; `ANY`
            trusts the whole artifact.
    """
    if is_trusted(description, trust):
        return
    names = [name for name in description.unlisted if name not in trust] if len(description.acts) == 1 else []
    words = " ".join(f"--trust {name}" for name in names) or f"--trust {ANY}"
    raise CheckFailed(f"{description.path} is refused: {description.acts[0]}; {words} lets it be run")


def is_trusted(description: Description, trust: Collection[str]) -> bool:
    """Return whether an artifact holds nothing that could act on the machine but what is trusted; see `refuse`."""
    only_unlisted = len(description.acts) == 1 and bool(description.unlisted)
    return ANY in trust or not description.acts or (only_unlisted and set(description.unlisted) <= set(trust))
