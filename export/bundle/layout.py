"""A bundle on disk: staged beside its place, hashed, flushed, and renamed into it, so that it is whole or absent."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.contract import Contract
from export.contract.artifact import Artifact
from export.errors import ExportError
from export.formats.saved_model_versions import choose_version
from export.proof.certificate import UNSUPPORTED, Certificate

MANIFEST, SUMS, PARITY = "manifest.json", "SHA256SUMS", "parity.json"
IF_EXISTS = ("error", "new-version", "replace")
EXCHANGE, HERE = 2, -100  # RENAME_EXCHANGE of linux/fs.h, AT_FDCWD of fcntl.h


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


class PathTaken(ExportError):
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
        PathTaken: If something has taken the place meanwhile.
        ExportError: If the place cannot be written.
    """
    flush(folder)
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise PathTaken(f"cannot publish to {target}: something else has taken the place") from error
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


def choose_path(out: Path, if_exists: str) -> Path:
    """Return the folder that a new bundle shall be.

    Args:
        out: What was asked for.
        if_exists: "error"; "new-version": the first free of OUT, OUT-2, OUT-3, ..., and nothing is touched; "replace":
            OUT itself, where the new bundle takes the old one's place once it is proven.

    Raises:
        ExportError: If `out` is taken and may not be replaced: only bundles are.
    """
    if if_exists not in IF_EXISTS:
        raise ExportError(f"unknown if_exists {if_exists!r}; one of {', '.join(IF_EXISTS)}")
    if if_exists == "new-version":
        return next(place for place in _numbered(out) if not os.path.lexists(place))
    if if_exists == "replace" and os.path.lexists(out):
        if out.is_symlink() or not all((out / name).is_file() for name in (MANIFEST, SUMS)):
            raise ExportError(f"{out} is not a bundle, and only a bundle is replaced; choose another place")
    elif os.path.lexists(out):
        raise ExportError(f"{out} exists already; choose another place, or say what to do: new-version or replace")
    return out


def next_to(out: Path, wanted: int | str) -> int:
    """Return the version of a SavedModel: "next" is one more than in OUT, OUT-2, ... whatever is there."""
    if wanted != "next":
        return choose_version(wanted, out)
    there = itertools.takewhile(os.path.lexists, _numbered(out))
    return max((choose_version("next", place / "saved_model") for place in there), default=1)


def _numbered(out: Path) -> Iterator[Path]:
    yield out
    for number in itertools.count(2):
        yield out.with_name(f"{out.name}-{number}")


def put(folder: Path, out: Path, if_exists: str) -> Path:
    """Publish a staged bundle to its place, and return the place.

    Raises:
        PathTaken: If another was faster and nothing may be replaced.
    """
    while True:
        place = choose_path(out, if_exists)
        try:
            if os.path.lexists(place):
                return _replace(folder, place)
            return publish(folder, place)
        except PathTaken:
            if if_exists == "error":
                raise


def _replace(folder: Path, place: Path) -> Path:
    """Let a staged folder and a bundle change places in one step, then remove the old one."""
    flush(folder)
    _exchange(folder, place)
    flush(place.parent, deep=False)
    discard(folder)
    return place


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders. Where the file system cannot, `other` is absent for a moment, but never half there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        if libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
            return
        if ctypes.get_errno() not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    aside = other.with_name(f".{other.name}.old-{secrets.token_hex(4)}")
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)


def write_assets(folder: Path, contract: Contract, assets: Mapping[str, Any]) -> None:
    """Write the labels of a contract and what else the caller wants in the bundle, {name: bytes or path}.

    Raises:
        ExportError: If a name leaves the bundle, or is taken.
    """
    if contract.labels is not None:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in contract.labels))
    for name, content in assets.items():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents or path.exists():
            raise ExportError(f"asset {name!r} would leave the bundle or replace one of its files; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)


def withhold(folder: Path, artifacts: Sequence[Artifact], certificate: Certificate) -> None:
    """Remove what turned out not to come back, and remember why."""
    for row in (row for row in certificate.artifacts if not row.extra):
        for artifact in artifacts:
            if row.state == UNSUPPORTED and row.artifact == artifact.path and artifact.state is None:
                artifact.state, artifact.reason = row.state, row.reason
                (folder / artifact.path).unlink()
