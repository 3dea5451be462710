"""The log of a base path: what was published, promoted, rolled back and retired, when and by whom; each line has the
digest of the line before it.

A chain shows that no line before its end was changed. That no lines are missing at its end is shown by the versions in
the folder, and by a signature (`python -m export log sign`) of the whole file.
"""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.attestation import envelope
from export.attestation.policy import VERSION_SUMS
from export.attestation.statement import LOG, canonical, digests_of, encode
from export.formats.saved_model import served_versions
from zoobase.errors import CheckFailed, Unavailable
from zoobase.files import locked, sha256

NAME = "log.jsonl"
ROLLOUT, STATE = "rollout", "rollout.json"  # of a base path: which versions are stable and canary
START = "0" * 64  # the digest before the first line
ADDED, REMOVED = "published", "retired"
ACTIONS = (ADDED, "canary", "promoted", "rolled back", REMOVED)


def append(base: Path, action: str, versions: Iterable[int], labels: Mapping[str, int | None] | None = None) -> None:
    """Add a line to the log of a base path, and flush it to disk.

    Args:
        base: The base path.
        action: One of `ACTIONS`.
        versions: The versions that it concerns; those that are there are logged with the digest of their sums.
        labels: {"stable", "canary"} after it, if it changed them.
    """
    path = base / NAME
    with locked(path) as descriptor:
        text = path.read_bytes()
        end = text.rfind(b"\n") + 1  # a line without an end is of a process that was killed while it wrote
        os.truncate(descriptor, end)
        last = text[:end].splitlines()[-1:]
        line = canonical(
            {
                "n": json.loads(last[0])["n"] + 1 if last else 1,
                "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "by": _user(),
                "action": action,
                "versions": {str(version): _digest(base, version) for version in versions},
                "labels": dict(labels or {}),
                "previous": hashlib.sha256(last[0]).hexdigest() if last else START,
            }
        )
        os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())


def _digest(base: Path, version: int) -> str | None:
    """Return the digest of the sums of a version, which have that of each of its files; None if it is not there."""
    for name in served_versions(base).get(version, ()):
        if (base / name / VERSION_SUMS).is_file():
            return sha256(base / name / VERSION_SUMS)
    return None


def _labels(base: Path) -> dict[str, int | None]:
    path = base / ROLLOUT / STATE
    if not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return {name: state[name] for name in ("stable", "canary")}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"{path} cannot be read ({error})") from error


def read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a log whose chain holds.

    Raises:
        CheckFailed: If it does not; the message names the first line.
        Unavailable: If there is no log.
    """
    if not path.is_file():
        raise Unavailable(f"there is no log {path}; python -m export publish writes it")
    entries, previous = [], START
    *lines, rest = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            is_whole = canonical(entry) == line and entry["n"] == number and entry["previous"] == previous
            is_whole &= entry["action"] in ACTIONS and {*map(type, entry["versions"].values())} <= {str, type(None)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            is_whole = False
        if not is_whole:
            raise CheckFailed(f"line {number} of {path} does not follow from the one before it")
        entries.append(entry)
        previous = hashlib.sha256(line).hexdigest()
    if rest or not entries:
        raise CheckFailed(f"{path} ends in the middle of a line")
    return entries


def verify(base: Path, signers: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """Return the entries of the log of a base path, if its chain holds and it says what is in the folder.

    Args:
        base: The base path.
        signers: Public keys, one of which must have signed the log as it is; none for no signature.

    Raises:
        CheckFailed: If a line was changed, lines are missing, a version is not the one that was published, or the
            signature does not hold.
        Unavailable: If there is no log.
    """
    path = base / NAME
    entries = read(path)
    recorded: dict[str, str | None] = {}
    labels: dict[str, int | None] = {}
    for entry in entries:
        labels |= entry["labels"]
        for version, digest in entry["versions"].items():
            if entry["action"] == ADDED:
                recorded[version] = digest
            elif entry["action"] == REMOVED:
                recorded.pop(version, None)
    present = {str(version): _digest(base, version) for version in served_versions(base)}
    for version in sorted({*recorded, *present}, key=int):
        if version not in recorded:
            raise CheckFailed(f"version {version} is in {base}, and the log does not have it")
        if version not in present:
            raise CheckFailed(f"version {version} is not in {base}, and the log does not say that it was retired")
        if recorded[version] != present[version]:
            raise CheckFailed(f"version {version} of {base} is not the one that was published")
    if labels != (state := _labels(base)):
        raise CheckFailed(f"{base / ROLLOUT} has the labels {state}, and the log {labels}")
    if signers:
        envelope.check(path, signers, LOG)
    return entries


def sign(base: Path, key: Path) -> Path:
    """Sign the log of a base path as it is, and return the path of the envelope.

    Raises:
        CheckFailed: As of `verify`.
        Unavailable: If the log or the key is missing.
    """
    entries, path = verify(base), base / NAME
    predicate = {"entries": len(entries), "last": hashlib.sha256(canonical(entries[-1])).hexdigest()}
    return envelope.sign(path, [encode(digests_of(path), LOG, predicate)], key)
