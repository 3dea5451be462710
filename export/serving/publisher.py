"""Publish a proven SavedModel under a TF Serving base path: staged, hashed, flushed and renamed to its version."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.attestation.envelope import envelopes_of
from export.attestation.policy import ATTESTATION, EXTRA, OF_PUBLISHING, RECORD, VERSION_SUMS, admit, read_policy
from export.bundle import layout
from export.bundle.gate import find_saved_model, read_proven, refusal, reservation
from export.formats import FORMATS, saved_model
from export.formats.saved_model import choose_version, newest_version, served_versions
from export.proof.certificate import PASS, RESERVED
from export.verifier import verify_bundle
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.files import locked, sha256, staging

STAGING = ".publishing-"  # not a number, so TF Serving ignores it
CHOSEN = ("next", "time")  # versions whose number is chosen when they are published
ATTEMPTS = 1000
# What is verified: the SavedModel, and the files that Keras writes, with which it is compared
VERIFIED = (saved_model.FORMAT.name, *(name for name, format in FORMATS.items() if format.needs_code))
_verifying = threading.Lock()  # those who publish one bundle at once wait for one verification


@dataclass(frozen=True)
class Published:
    """A published version."""

    path: Path  # its folder, BASE_PATH/VERSION
    version: int  # its number
    copy_of: int | None = None  # the version of which `rollback` made it


def publish(
    source: str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    *,
    version: int | str = "next",
    trust: Collection[str] = (),
    allow: Collection[str] = (),
    policy: str | os.PathLike[str] | None = None,
) -> Published:
    """Verify the SavedModel of a bundle, and publish it as a version under a TF Serving base path.

    It and the Keras files are run again, and compared whole with what the Keras file of the bundle writes.

    Publishing is atomic, also if this process is killed. Existing versions are never modified. Several processes may
    publish at once: with "next" each gets its own number.

    Args:
        source: A proven bundle.
        base_path: The folder of one model's versions; created if it does not exist.
        version: "next", "time" (seconds since 1970), or a positive int64.
        trust: Operators that may be served although they are not on the list of inference operators; and packages, as
            of `verify_bundle`.
        allow: Reservations of the proof with which it is published all the same: "random", "stateful", "clock",
            "external", "branches", or "any".
        policy: A file that says what the bundle must hold, as of `export admit`; or None. With signers in it their
            attestation stands in for the verification.

    Raises:
        ExportError: If `source` contains no SavedModel, or the version exists or is invalid.
        CheckFailed: If the bundle is damaged, does not pass here, or has reservations that are not allowed, its
            SavedModel is not trusted, or the policy does not admit it.

    Example:
        >>> publish("bundle", "models/net").version
        1
        >>> publish("bundle", "models/net").path.name
        '2'
    """
    base = Path(base_path).absolute()
    if version not in CHOSEN and os.path.lexists(base / str(number := choose_version(version, base))):
        raise _taken(number, base)  # before the bundle is verified
    folder, checksums, record, attestation = proven_saved_model(Path(source), trust, allow, policy)
    return publish_folder(folder, base, checksums, record, version, attestation)


def rollback(base_path: str | os.PathLike[str], *, expect: int | None = None) -> Published:
    """Publish the version before the newest one again, as the next version: servers serve the highest one.

    Once more goes back one version further. Whoever decides by what it has seen gives `expect`, so that two programs
    that see the same fault go back once.

    Args:
        base_path: The folder of one model's versions.
        expect: The version that should be taken back, the newest one; None for any.

    Raises:
        CheckFailed: If another version is the newest one, there is none before it, or its files changed.
        Unavailable: If there is no version.

    Example:
        >>> rollback("models/net", expect=2).copy_of
        1
    """
    base = Path(base_path).absolute()
    _newest(base)  # raises before a lock is made there
    with locked(base):
        newest, folder = _newest(base)
        if expect not in (None, newest):
            raise CheckFailed(f"version {newest} is the newest of {base_path}, not {expect}; nothing was changed")
        versions = {number: base / names[0] for number, names in served_versions(base).items()}
        origin = _origin(newest, folder)
        if (number := max((version for version in versions if version < origin), default=None)) is None:
            raise CheckFailed(f"{base_path} has no version before {origin} to go back to")
        return republish(versions[number], base, _origin(number, versions[number]))


def _newest(base: Path) -> tuple[int, Path]:
    if (latest := newest_version(base) if base.is_dir() else None) is None:
        raise Unavailable(f"{base} holds no version; publish a bundle there first")
    return latest


def _origin(version: int, folder: Path) -> int:
    """Return the version of which one that `rollback` published is a copy, else itself."""
    path = folder / RECORD
    return json.loads(path.read_text()).get("copy_of", version) if path.is_file() else version


def proven_saved_model(
    folder: Path, trust: Collection[str] = (), allow: Collection[str] = (), policy: str | os.PathLike[str] | None = None
) -> tuple[Path, dict[str, str], dict[str, Any], bytes | None]:
    """Return the SavedModel of a bundle, if `publish` may publish it; it raises what `publish` raises.

    Returns:
        Its version folder, {relative path: sha256} of its files, the record that is published with it, and the
        envelopes of the bundle, or None.
    """
    rules = read_policy(Path(policy)) if policy is not None else None
    if rules is not None:
        admit(folder, rules)
    manifest = read_proven(folder, "is published")
    artifact = find_saved_model(manifest)
    if artifact is None:
        raise ExportError(f"{folder} holds no SavedModel; export it with --formats saved_model")
    if reason := refusal(folder, artifact, trust):
        raise CheckFailed(reason)
    if reason := reservation(folder, artifact, allow):
        raise CheckFailed(reason)
    if not (rules and rules.signers):  # else somebody whose key is known has attested the certificate
        with _verifying:
            _verify(folder, sha256(folder / layout.SUMS), frozenset(trust))
    path = artifact["path"]
    checksums = {
        name.removeprefix(f"{path}/"): entry["sha256"]
        for name, entry in manifest["files"].items()
        if name.startswith(f"{path}/")
    }
    if not {"saved_model.pb", "variables/variables.index"} <= set(checksums):
        raise CheckFailed(f"{folder} does not list the files of {path}; export it again")
    record = {"schema": 1, "bundle": folder.resolve().name, "verdict": layout.read_verdict(folder)}
    record |= {key: manifest[key] for key in ("created", "producer", "contract")}
    envelopes = envelopes_of(folder)
    attestation = envelopes.read_bytes() if envelopes.is_file() else None
    return folder / path, checksums, record, attestation


@functools.cache
def _verify(folder: Path, sums: str, trust: Collection[str]) -> None:
    """Raise CheckFailed unless a SavedModel passes here and now; one with the same checksums is verified once."""
    certificate = verify_bundle(folder, formats=VERIFIED, trust=trust)
    if certificate.verdict not in (PASS, RESERVED):
        raise CheckFailed(f"{folder} is not published: it is {certificate.verdict} here: {certificate.problems()[0]}")


def publish_folder(
    source: Path,
    base: Path,
    checksums: Mapping[str, str],
    record: Mapping[str, Any],
    version: int | str = "next",
    attestation: bytes | None = None,
) -> Published:
    """Publish the files of one version that have the checksums; others are not copied."""
    if (base / "saved_model.pb").exists() or (base.exists() and not base.is_dir()):
        raise ExportError(f"{base} is not a folder of versions; give the folder that holds 1/, 2/, ...")
    with staging(base, STAGING) as folder:
        content = folder / "content"
        content.mkdir()
        for name, digest in checksums.items():
            _copy(source / name, content / name, digest)
        (content / EXTRA).mkdir(exist_ok=True)
        layout.write_json(content / RECORD, dict(record))
        if attestation is not None:
            (content / ATTESTATION).write_bytes(attestation)
        layout.write_sums(content, VERSION_SUMS)
        for _ in range(ATTEMPTS):
            number = choose_version(version, base)
            target = base / str(number)
            if not os.path.lexists(target):
                with contextlib.suppress(layout.PathTaken):  # created by another publisher meanwhile
                    return Published(layout.publish(content, target), number)
            if version not in CHOSEN:
                raise _taken(number, base)
    raise ExportError(f"no free version in {base} after {ATTEMPTS} attempts; another process is writing there")


def _taken(number: int, base: Path) -> ExportError:
    return ExportError(f"version {number} exists already in {base}; versions are never replaced: use next")


def find_version_damage(folder: Path) -> list[str]:
    """Return a message for every file of a published version that differs from the published one."""
    if not (folder / VERSION_SUMS).is_file():
        return [f"{VERSION_SUMS} is missing"]
    return layout.differences(folder, VERSION_SUMS)


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy a file and check its checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(1 << 20):
            checksum.update(block)
            writer.write(block)
    if checksum.hexdigest() != digest:
        raise CheckFailed(f"{source} changed while it was being published; nothing was published")


def republish(source: Path, base: Path, copy_of: int | None = None) -> Published:
    """Publish the files of a version again, as the next version."""
    is_ours = (source / RECORD).exists() or (source / VERSION_SUMS).exists()
    if is_ours and (damage := find_version_damage(source)):
        raise CheckFailed(f"{source} is damaged ({damage[0]}); nothing was changed")
    names = [name for name in layout.files_of(source) if name not in OF_PUBLISHING]
    checksums = {name: sha256(source / name) for name in names}
    record = json.loads((source / RECORD).read_text()) if (source / RECORD).exists() else {"schema": 1}
    attestation = (source / ATTESTATION).read_bytes() if (source / ATTESTATION).exists() else None
    published = publish_folder(
        source, base, checksums, record | ({"copy_of": copy_of} if copy_of else {}), attestation=attestation
    )
    return dataclasses.replace(published, copy_of=copy_of)
