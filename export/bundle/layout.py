"""The files of a bundle: staged, hashed, flushed to disk and renamed to the target, so that it is whole or absent."""

import ctypes
import errno
import functools
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from export.contract import Artifact, Contract
from export.formats import FORMATS, QUANTIZATIONS
from export.formats.saved_model import choose_version
from export.proof.certificate import UNSUPPORTED, Certificate
from zoobase.errors import ExportError
from zoobase.files import check_dense, discard, sha256

SCHEMA = Path(__file__).with_name("manifest.schema.json")
PARITY_SCHEMA = Path(__file__).parent.parent / "parity.schema.json"
MANIFEST, SUMS, PARITY = "manifest.json", "SHA256SUMS", "parity.json"
IF_EXISTS = ("error", "new-version", "replace")
DATA = (".json", ".txt", ".csv", ".tsv", ".model", ".png", ".jpg", ".wav")  # ends of the names of a caller's files
EXCHANGE, HERE = 2, -100  # RENAME_EXCHANGE of linux/fs.h, AT_FDCWD of fcntl.h


@dataclass(frozen=True)
class Bundle:
    """A published bundle.

    Attributes:
        path: Its folder.
        manifest: The content of `manifest.json`.
        contract: The endpoints of its artifacts.
        certificate: The certificate of its proof.
    """

    path: Path
    manifest: Mapping[str, Any]
    contract: Contract
    certificate: Certificate


class PathTaken(ExportError):
    """The target path was created by another process meanwhile."""


def files_of(folder: Path) -> Iterator[str]:
    """Yield the relative path of every file, sorted; ExportError if there is a link or a device."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ExportError(f"{path} is neither a plain file nor a folder; a bundle holds nothing else")
        if path.is_file():
            check_dense(path)
            yield path.relative_to(folder).as_posix()


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
    """Write the sums of every other file to the file `sums` of a folder, in the format of coreutils."""
    (folder / sums).write_text(_text(_hashes(folder, sums)))


def _hashes(folder: Path, sums: str) -> dict[str, str]:
    return {name: sha256(folder / name) for name in files_of(folder) if name != sums}


def _text(hashes: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in hashes.items())


def _recorded_hashes(folder: Path, sums: str) -> dict[str, str]:
    lines = (folder / sums).read_bytes().decode("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def differences(folder: Path, sums: str = SUMS) -> list[str]:
    """Return a message for every file of a folder that differs from its recorded sum."""
    recorded, actual = _recorded_hashes(folder, sums), _hashes(folder, sums)
    messages = [f"{name} was changed" for name in actual if name in recorded and recorded[name] != actual[name]]
    messages += [f"{name} was added" for name in actual if name not in recorded]
    messages += [f"{name} is missing" for name in recorded if name not in actual]
    if not messages and (folder / sums).read_bytes() != _text(actual).encode():
        messages.append(f"{sums} was changed")
    return messages


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def check_manifest(folder: Path | str, manifest: Any) -> dict[str, Any]:
    """Return a manifest if it is valid against `manifest.schema.json` and names paths inside the bundle only."""
    version = manifest.get("schema") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > 1:
        raise ExportError(f"{folder} has manifest schema {version}, which this version does not know: upgrade it")
    check_schema(folder, "manifest.json", manifest, SCHEMA)
    try:
        endpoints = {endpoint.name for endpoint in Contract.from_json(manifest["contract"]).endpoints}
    except ValueError as error:
        raise ExportError(f"{folder} is not a bundle: manifest.json is malformed at contract: {error}") from error
    for artifact in manifest["artifacts"]:
        check_path(folder, artifact["path"])
        if unknown := sorted(set(artifact["endpoints"]) - endpoints):
            raise ExportError(
                f"{folder} is not a bundle: {artifact['path']} names endpoint {unknown[0]!r}, which is unknown"
            )
    for name in manifest["files"]:
        check_path(folder, name)
    return manifest


def check_schema(folder: Path | str, name: str, data: Any, schema: Path) -> None:
    """Raise ExportError for the content of a JSON file of a bundle that is not valid against a schema."""
    if problem := _problem(schema, data):
        where, text = problem
        raise ExportError(f"{folder} is not a bundle: {name} is malformed at {where or name}: {text}")


def check_contract_data(path: Path, data: Any) -> None:
    """Raise ExportError for the content of a JSON file that is not a contract as in a manifest."""
    if problem := _problem(SCHEMA, data, "contract"):
        where, text = problem
        raise ExportError(f"{path} is not a contract: malformed at {where or 'the top level'}: {text}")


def _problem(schema: Path, data: Any, definition: str | None = None) -> tuple[str, str] | None:
    """Return where data is not valid against a schema, or one of its definitions, and what is wrong; or None."""
    from jsonschema.exceptions import best_match

    problem = best_match(_validator(schema, definition).iter_errors(data))
    return None if problem is None else (".".join(map(str, problem.absolute_path)), problem.message[:200])


@functools.cache
def _validator(schema: Path, definition: str | None) -> Any:
    from jsonschema import Draft202012Validator

    content = json.loads(schema.read_text(encoding="utf-8"))
    if schema == SCHEMA:
        content["$defs"] |= {"format": {"enum": list(FORMATS)}, "quantize": {"enum": [None, *QUANTIZATIONS]}}
    if definition:
        content = {"$ref": f"#/$defs/{definition}", "$defs": content["$defs"]}
    return Draft202012Validator(content)


def check_path(folder: Path | str, name: str) -> None:
    """Raise ExportError for a path that is absolute or leads out of the bundle."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or {*"\\\0"} & {*name} or not path.parts or ":" in path.parts[0]:
        raise ExportError(f"{folder} names {name!r}, which is not a path inside it")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle; ExportError if it does not exist or cannot be read."""
    return check_manifest(folder, _parse(folder, MANIFEST))


def _parse(folder: Path, name: str) -> Any:
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a bundle: there is no such folder")
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{folder} is not a bundle: {name} cannot be read ({error})") from error


def read_coverage(folder: Path) -> dict[str, Any]:
    """Return what the proof of a bundle reached, from `parity.json`; empty if it was not measured."""
    return read_certificate(folder)["coverage"] if (folder / PARITY).is_file() else {}


def read_verdict(folder: Path) -> str:
    """Return the verdict in `parity.json` of a bundle: pass, also with reservations, fail or incomplete."""
    return read_certificate(folder)["verdict"]


def read_certificate(folder: Path) -> dict[str, Any]:
    """Return the content of `parity.json` of a bundle; ExportError if it is missing or malformed."""
    certificate = _parse(folder, PARITY)
    check_schema(folder, PARITY, certificate, PARITY_SCHEMA)
    return certificate


def find_damage(folder: Path) -> list[str]:
    """Return a message for every file that differs from the published one; empty for a whole bundle."""
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a bundle: there is no such folder")
    for name in (MANIFEST, SUMS):
        if not (folder / name).is_file():
            raise ExportError(f"{folder} is not a bundle: it has no {name}")
    messages = differences(folder)
    if not messages:
        manifest = _parse(folder, MANIFEST)
        listed = manifest.get("files") if isinstance(manifest, dict) else None
        recorded = {name: digest for name, digest in _recorded_hashes(folder, SUMS).items() if name != MANIFEST}
        listed = listed if isinstance(listed, dict) else {}
        if {name: entry.get("sha256") for name, entry in listed.items() if isinstance(entry, dict)} != recorded:
            messages.append(f"{MANIFEST} lists other files than {SUMS}")
    return messages


def publish(folder: Path, target: Path) -> Path:
    """Flush a staged folder to disk and rename it to the target; PathTaken if that exists meanwhile."""
    flush(folder)
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise PathTaken(f"cannot publish to {target}: it was created by another process meanwhile") from error
        raise ExportError(f"cannot publish to {target}: {error.strerror}") from error
    flush(target.parent, deep=False)
    return target


def publish_marked(folder: Path, target: Path, suffix: str) -> Path:
    """Publish beside `target` under the first free name `<target>.<suffix>[-N]`."""
    number = 1
    while os.path.lexists(path := target.with_name(f"{target.name}.{suffix}{f'-{number}' if number > 1 else ''}")):
        number += 1
    return publish(folder, path)


def flush(folder: Path, deep: bool = True) -> None:
    """Flush the files of a folder to disk."""
    for path in [*(folder.rglob("*") if deep else ()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def choose_path(out: Path, if_exists: str) -> Path:
    """Return the path of a new bundle; `if_exists` is "error", "new-version" (OUT-2, OUT-3, ...) or "replace"."""
    if if_exists not in IF_EXISTS:
        raise ExportError(f"unknown if_exists {if_exists!r}; one of {', '.join(IF_EXISTS)}")
    if if_exists == "new-version":
        return next(path for path in _numbered(out) if not os.path.lexists(path))
    if if_exists == "replace" and os.path.lexists(out):
        if out.is_symlink() or not all((out / name).is_file() for name in (MANIFEST, SUMS)):
            raise ExportError(f"{out} is not a bundle, and only a bundle is replaced; choose another path")
    elif os.path.lexists(out):
        raise ExportError(f"{out} exists already; choose another path, or set if_exists to new-version or replace")
    return out


def choose_saved_model_version(out: Path, requested: int | str) -> int:
    """Return the version of a SavedModel: "next" is one more than the largest in OUT, OUT-2, ..."""
    if requested != "next":
        return choose_version(requested, out)
    existing = itertools.takewhile(os.path.lexists, _numbered(out))
    return max((choose_version("next", path / "saved_model") for path in existing), default=1)


def _numbered(out: Path) -> Iterator[Path]:
    yield out
    for number in itertools.count(2):
        yield out.with_name(f"{out.name}-{number}")


def publish_bundle(folder: Path, out: Path, if_exists: str) -> Path:
    """Publish a staged bundle, and return its path; PathTaken if it exists meanwhile and is not replaced."""
    while True:
        path = choose_path(out, if_exists)
        try:
            return publish_or_replace(folder, path)
        except PathTaken:
            if if_exists == "error":
                raise


def publish_or_replace(folder: Path, path: Path) -> Path:
    """Publish a staged folder; one that exists at the path is exchanged with it atomically, then removed."""
    if not os.path.lexists(path):
        return publish(folder, path)
    flush(folder)
    _exchange(folder, path)
    flush(path.parent, deep=False)
    discard(folder)
    return path


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders. If the file system cannot, `other` is absent for a moment, but never partial."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        if libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
            return
        if ctypes.get_errno() not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    temporary = other.with_name(f".{other.name}.old-{secrets.token_hex(4)}")
    os.rename(other, temporary)
    os.rename(one, other)
    os.rename(temporary, one)


def write_text(path: Path, text: str) -> None:
    """Write a text as it is, on every system; paths in it need not be UTF-8."""
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_assets(folder: Path, assets: Mapping[str, Any]) -> None:
    """Write additional files, {name: bytes or path}."""
    for name, content in assets.items():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents or path.exists():
            raise ExportError(f"asset {name!r} would leave the bundle or replace one of its files; choose another name")
        if not name.endswith(DATA):
            raise ExportError(f"asset {name!r} is no file of data; a name ends in {', '.join(DATA)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)


def withhold(folder: Path, artifacts: Sequence[Artifact], certificate: Certificate) -> None:
    """Remove artifacts that cannot be loaded, and record the reason."""
    for row in (row for row in certificate.rows if not row.extra):
        for artifact in artifacts:
            if row.state == UNSUPPORTED and row.artifact == artifact.path and artifact.state is None:
                artifact.state, artifact.reason = row.state, row.reason
                (folder / artifact.path).unlink()
