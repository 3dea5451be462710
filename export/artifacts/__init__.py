"""Read the contents of an artifact, also of a third party, without running it: one file per format."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export.artifacts.quantized import Quantization
from export.formats.saved_model_versions import served_versions
from zoobase.errors import CheckFailed, ExportError, Unavailable


@dataclass(frozen=True)
class Port:
    """An input or output: name, NumPy dtype name or "string", and shape; None where they are unknown.

    `quantization` has the scale and zero point of a quantised tensor of a TFLite file.
    """

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None
    quantization: Quantization | None = None


@dataclass(frozen=True)
class Signature:
    """A function of an artifact. A file without signatures has one, called ""."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass
class Description:
    """The contents of an artifact.

    Attributes:
        path: Its path.
        format: keras, hdf5, weights, saved_model, tflite or onnx.
        size: Bytes on disk, all files.
        producer: {library: version} of the program that wrote it, as far as recorded.
        signatures: Its functions.
        parameters: Number of learnt parameters, or None.
        operations: {operator or layer class: count} reachable from the signatures.
        flagged: {"flex", "custom", "random", "stateful": names}: operators that limit portability or repeatability;
            of a SavedModel also "clock", "external" (files, the console, Python), "branches" (chosen by input numbers).
        risks: Contents that can execute code or access files or the network, a message each ("acts" in JSON).
        unlisted: Operators that are not on the list of inference operators; `risks` names them too.
    """

    path: Path
    format: str
    size: int
    producer: dict[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    parameters: int | None = None
    operations: dict[str, int] = field(default_factory=dict)
    flagged: dict[str, list[str]] = field(default_factory=dict)
    risks: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        data = asdict(self)
        return data | {"path": str(self.path), "acts": data.pop("risks")}


def locate(path: Path) -> tuple[Path, str]:
    """Return the path of the artifact itself, and its format, detected from its content.

    Args:
        path: A file, a SavedModel, or a base path, of which the newest version is used.

    Raises:
        Unavailable: If the path does not exist.
        ExportError: If the format is unknown.
        CheckFailed: If it is a pickle, which executes code when it is read.
    """
    if path.is_dir():
        return _folder(path), "saved_model"
    if not path.is_file():
        raise Unavailable(f"there is no artifact {path}; give the path of a file or a SavedModel")
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"TFL3":
        return path, "tflite"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return path, "weights" if path.name.endswith(".weights.h5") else "hdf5"
    if zipfile.is_zipfile(path):
        return path, _zip(path)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise CheckFailed(f"{path} is a pickle, which executes the code in it when it is read; it is never opened")
    if path.suffix == ".onnx":
        return path, "onnx"
    raise ExportError(f"{path} is not a .keras, .h5, .tflite or .onnx file, nor a SavedModel folder")


def _folder(path: Path) -> Path:
    if (path / "saved_model.pb").is_file():
        return path
    if (path / "manifest.json").is_file():
        artifact_paths = sorted(p.relative_to(path).as_posix() for p in path.glob("saved_model/*"))
        raise ExportError(
            f"{path} is a bundle; give one of its artifacts, such as {path / (artifact_paths or ['model.keras'])[0]}"
        )
    names = [name for folders in served_versions(path).values() for name in folders]
    if names and (path / names[-1] / "saved_model.pb").is_file():
        return path / names[-1]
    raise ExportError(f"{path} is not a SavedModel: it has no saved_model.pb, and no version that has one")


def _zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith((".pkl", ".pickle")) for name in names):
        raise CheckFailed(
            f"{path} contains a pickle, which executes the code in it when it is read; it is never opened"
        )
    if "config.json" in names:
        return "keras"
    raise ExportError(f"{path} is a zip file but not a .keras file: it has no config.json")


def describe(path: Path, complete: bool = True) -> Description:
    """Return the contents of an artifact.

    Args:
        path: Its path.
        complete: Whether the custom operators of a SavedModel and its number of parameters are read too, which need
            TensorFlow.

    Raises:
        Unavailable: If the path does not exist, or the library that reads it is not installed.
        ExportError: If it cannot be read.
        CheckFailed: If it is a pickle.
    """
    artifact, format = locate(path)
    files = [artifact] if artifact.is_file() else [p for p in artifact.rglob("*") if p.is_file()]
    description = Description(artifact, format, sum(p.stat().st_size for p in files))
    try:
        reader = importlib.import_module(f"export.artifacts.{'hdf5' if format == 'weights' else format}")
        read = reader.read if complete or format != "saved_model" else reader.read_graph
        read(description)
    except ImportError as error:
        raise Unavailable(f"{path} cannot be read here ({error}); install the missing package") from error
    except ExportError:
        raise
    except Exception as error:  # a damaged file may raise anything
        text = " ".join(str(error).split())[:200]
        raise ExportError(f"{path} cannot be read as {format} ({type(error).__name__}: {text})") from error
    return description


ANY = "any"  # in `trust`: whatever an artifact holds


def check_trusted(description: Description, trust: Collection[str]) -> None:
    """Raise CheckFailed for an artifact that can execute code or act on the machine, unless it is trusted.

    Args:
        description: The artifact.
        trust: Names of operators that may be run although they are not on the list of inference operators; `ANY`
            trusts the whole artifact.
    """
    if is_trusted(description, trust):
        return
    names = [name for name in description.unlisted if name not in trust] if len(description.risks) == 1 else []
    words = " ".join(f"--trust {name}" for name in names) or f"--trust {ANY}"
    raise CheckFailed(f"{description.path} is refused: {description.risks[0]}; {words} lets it be run")


def is_trusted(description: Description, trust: Collection[str]) -> bool:
    """Return whether all risks of an artifact are trusted by name; see `check_trusted`."""
    only_unlisted = len(description.risks) == 1 and bool(description.unlisted)
    return ANY in trust or not description.risks or (only_unlisted and set(description.unlisted) <= set(trust))
