"""A bundle on disk: staged beside its place, hashed, flushed, and renamed into it, so that it is whole or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.certificate import Certificate
from export.contract import Contract
from export.errors import ExportError

MANIFEST, SUMS, PARITY = "manifest.json", "SHA256SUMS", "parity.json"


@dataclass(frozen=True)
class Bundle:
    """A published bundle.

    Attributes:
        path: Its folder.
        manifest: What `manifest.json` holds.
        contract: What its artifacts promise.
        certificate: The proof.
    """

    path: Path
    manifest: Mapping[str, Any]
    contract: Contract
    certificate: Certificate


class PlaceTaken(ExportError):
    """Something else has taken the place meanwhile."""


def stage(target: Path) -> Path:
    """Make a staging folder beside `target`, on the same file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent / f".{target.name}.staging-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder


def files_of(folder: Path) -> Iterator[str]:
    """Yield the relative path of every file, sorted.

    Raises:
        ExportError: If there is a link or a device: a bundle holds plain files only.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ExportError(f"{path} is neither a plain file nor a folder; a bundle holds nothing else")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest with the hash of every other file, then the sums of all files, and return the manifest."""
    for name in (MANIFEST, SUMS):
        (folder / name).unlink(missing_ok=True)
    manifest = manifest | {
        "files": {
            name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
            for name in files_of(folder)
        }
    }
    write_json(folder / MANIFEST, manifest)
    write_sums(folder)
    return manifest


def write_sums(folder: Path, sums: str = SUMS) -> None:
    """Write the sums of every other file to the file `sums` of a folder, as coreutils read them."""
    (folder / sums).write_text(_text(_hashes(folder, sums)))


def _hashes(folder: Path, sums: str) -> dict[str, str]:
    return {name: sha256(folder / name) for name in files_of(folder) if name != sums}


def _text(hashes: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in hashes.items())


def _promised(folder: Path, sums: str) -> dict[str, str]:
    lines = (folder / sums).read_bytes().decode("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def differences(folder: Path, sums: str = SUMS) -> list[str]:
    """Return a sentence for every file of a folder that is not as its sums say."""
    promised, actual = _promised(folder, sums), _hashes(folder, sums)
    found = [f"{name} was changed" for name in actual if name in promised and promised[name] != actual[name]]
    found += [f"{name} was added" for name in actual if name not in promised]
    found += [f"{name} is missing" for name in promised if name not in actual]
    if not found and (folder / sums).read_bytes() != _text(actual).encode():
        found.append(f"{sums} was changed")
    return found


def write_json(path: Path, data: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Raises:
        ExportError: If there is none that can be read.
    """
    try:
        return json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder} is not a bundle: {MANIFEST} cannot be read ({error})") from error


def read_verdict(folder: Path) -> str:
    """Return what `parity.json` of a bundle says: pass, fail or incomplete.

    Raises:
        ExportError: If there is none that can be read.
    """
    try:
        return json.loads((folder / PARITY).read_text())["verdict"]
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{folder} is not a bundle: {PARITY} cannot be read ({error})") from error


def damage(folder: Path) -> list[str]:
    """Return a sentence for every file that is not as it was published; empty for a whole bundle.

    Checksums find damage, not malice: whoever can write the folder can write the sums.

    Raises:
        ExportError: If this is not a bundle.
    """
    for name in (MANIFEST, SUMS):
        if not (folder / name).is_file():
            raise ExportError(f"{folder} is not a bundle: it has no {name}")
    found = differences(folder)
    if not found:
        listed = json.loads((folder / MANIFEST).read_text())["files"]
        now = {name: digest for name, digest in _promised(folder, SUMS).items() if name != MANIFEST}
        if {name: entry["sha256"] for name, entry in listed.items()} != now:
            found.append(f"{MANIFEST} lists other files than {SUMS}")
    return found


def publish(folder: Path, target: Path) -> Path:
    """Flush a staged folder to disk and give it its name.

    Raises:
        PlaceTaken: If something has taken the place meanwhile.
        ExportError: If the place cannot be written.
    """
    flush(folder)
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise PlaceTaken(f"cannot publish to {target}: something else has taken the place") from error
        raise ExportError(f"cannot publish to {target}: {error.strerror}") from error
    flush(target.parent, deep=False)
    return target


def keep(folder: Path, target: Path, mark: str) -> Path:
    """Publish beside `target` under the first free name `<target>.<mark>[-N]`."""
    number = 1
    while os.path.lexists(place := target.with_name(f"{target.name}.{mark}{f'-{number}' if number > 1 else ''}")):
        number += 1
    return publish(folder, place)


def partial_files(folder: Path, format: str) -> list[Path]:
    """Return what a writer that gave up has left: Keras leaves empty files behind."""
    names = {"keras": ("model.keras",), "hdf5": ("model.h5",), "weights": ("model.weights.h5", "model.config.json")}
    return [folder / name for name in names.get(format, ()) if (folder / name).exists()]


def discard(folder: Path) -> None:
    """Remove a staging folder."""
    shutil.rmtree(folder, ignore_errors=True)


def flush(folder: Path, deep: bool = True) -> None:
    """Have the disk hold what a folder holds."""
    for path in [*(folder.rglob("*") if deep else ()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
