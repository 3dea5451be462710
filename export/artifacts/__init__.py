"""Read the contents of an artifact, also of a third party, without running it, and what speaks against running it."""

import os
from collections import ChainMap
from collections.abc import Collection
from pathlib import Path

from export.artifacts import openvino_ir, torch_program
from export.formats import FORMATS
from export.formats.format import KINDS, Description
from export.formats.keras import names_in
from export.formats.saved_model import served_versions
from export.formats.screening import check_content
from export.protocol import machine
from export.protocol.calls import one_line
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.hdf5 import find_signature
from zoobase.requirements import missing_command

ANY = "any"  # in `trust`: whatever an artifact holds
UNCONFINED = "unconfined"  # in `trust`: that it is loaded by a process that the kernel does not confine
OF_OTHERS = (torch_program.FORMAT, openvino_ir.FORMAT)  # what only others write
READABLE = ChainMap(FORMATS, {format.name: format for format in OF_OTHERS})
HARMLESS = frozenset({"CALL_ONCE"})  # TFLite's initialisation of a lookup table


def locate(path: Path) -> tuple[Path, str]:
    """Return the path of the artifact itself (of a base path the newest version), and its format by its content."""
    if not path.is_dir() and not path.is_file():
        raise Unavailable(f"there is no artifact {path}; give the path of a file or a SavedModel")
    artifact, head = _version_in(path), b""
    if artifact.is_file():
        with artifact.open("rb") as file:
            head = file.read(16)
        _check_pickle(path, head)
    for format in READABLE.values():
        if artifact.is_dir() == (not format.extension) and format.matches(artifact, head):
            if artifact.is_file():
                _check_content(artifact, format.name)
            return artifact, format.name
    if artifact.is_dir():
        raise ExportError(f"{path} is not a SavedModel: it has no saved_model.pb, and no version that has one")
    if find_signature(artifact):
        raise CheckFailed(f"{path} is refused: it has other content before its HDF5 file; write it again without")
    if head.startswith(b"PK"):
        raise ExportError(f"{path} is a zip file but not a .keras file: it has no config.json")
    extensions = list(
        dict.fromkeys(f".{f.extension.rpartition('.')[2]}" for f in {**FORMATS, **READABLE}.values() if f.extension)
    )
    raise ExportError(f"{path} is not a {', '.join(extensions[:-1])} or {extensions[-1]} file, nor a SavedModel folder")


def _check_content(path: Path, format: str) -> None:
    try:
        check_content(path, format)
    except ExportError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path} cannot be read as {format} ({one_line(error)[:230]})") from error


def _check_pickle(path: Path, head: bytes) -> None:
    """Raise CheckFailed for a pickle, and for a zip file with one in it."""
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise CheckFailed(f"{path} is a pickle, which executes the code in it when it is read; it is never opened")
    if any(name.endswith((".pkl", ".pickle")) for name in names_in(path, head)):
        raise CheckFailed(
            f"{path} contains a pickle, which executes the code in it when it is read; it is never opened"
        )


def _version_in(path: Path) -> Path:
    """Return the newest SavedModel in a base path, or the only network of OpenVINO in a folder; else the path."""
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path
    if (path / "manifest.json").is_file():
        artifacts = sorted(p.relative_to(path).as_posix() for p in path.glob("saved_model/*"))
        raise ExportError(
            f"{path} is a bundle; give one of its artifacts, such as {path / (artifacts or ['model.keras'])[0]}"
        )
    names = [name for folders in served_versions(path).values() for name in folders]
    names = names[-1:] or [file.name for file in path.glob(f"*{openvino_ir.FORMAT.extension}")]
    return path / names[0] if len(names) == 1 else path


def describe(path: Path, complete: bool = True) -> Description:
    """Return the contents of an artifact; `complete` also reads operators and parameters, which need TensorFlow."""
    artifact, name = locate(path)
    format = READABLE[name]
    files = [artifact] if artifact.is_file() else [p for p in artifact.rglob("*") if p.is_file()]
    description = Description(artifact, name, sum(p.stat().st_size for p in files))
    try:
        (format.describe if complete or not format.describe_graph else format.describe_graph)(description)
    except ImportError as error:
        command = missing_command(error.name or "") or "install the missing package"
        raise Unavailable(f"{path} cannot be read here ({error}); {command}") from error
    except ExportError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path} cannot be read as {name} ({one_line(error)[:230]})") from error
    return description


def check_confined(path: str | os.PathLike[str], trust: Collection[str]) -> None:
    """Raise Unavailable where the kernel cannot confine what loads an artifact, unless `trust` allows it."""
    if machine.abi() == 0 and not {UNCONFINED, ANY} & {*trust}:
        raise Unavailable(
            f"{path} is not loaded: this system cannot confine the processes that load it (Landlock, Linux 5.13); "
            f"--trust {UNCONFINED} loads it without"
        )


def check_trusted(description: Description, trust: Collection[str]) -> None:
    """Raise CheckFailed for an artifact that can execute code or act on the machine, unless it is trusted."""
    if is_trusted(description, trust):
        return
    names = [name for name in description.unlisted if name not in trust] if len(description.risks) == 1 else []
    words = " ".join(f"--trust {name}" for name in names) or f"--trust {ANY}"
    raise CheckFailed(f"{description.path} is refused: {description.risks[0]}; {words} lets it be run")


def is_trusted(description: Description, trust: Collection[str]) -> bool:
    """Return whether all risks of an artifact are trusted by name; see `check_trusted`."""
    only_unlisted = len(description.risks) == 1 and bool(description.unlisted)
    return ANY in trust or not description.risks or (only_unlisted and set(description.unlisted) <= set(trust))


def reservations(description: Description) -> dict[str, list[str]]:
    """Return {kind: operators} of what an artifact may do differently in calls that no proof has made."""
    # Random numbers from a fixed seed ("Stateless...") are the same in each call; what changes the seed is stateful.
    found = {kind: [op for op in description.flagged.get(kind, ()) if op not in HARMLESS] for kind in KINDS}
    found["random"] = [op for op in found["random"] if not op.startswith("Stateless")]
    return {kind: operators for kind, operators in found.items() if operators}


def reservations_of(path: Path, format: str) -> dict[str, list[str]]:
    """Return the reservations about the artifact at a path; none for a format without a graph."""
    return reservations(describe(path, complete=False)) if READABLE[format].holds_graph else {}
