"""Version numbers of TF Serving: parsing as it does, and choice of a new one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from zoobase.errors import ExportError

LARGEST = 2**63 - 1


def served_version(name: str) -> int | None:
    """Return the number that TF Serving reads from a folder's name, or None if it ignores the folder.

    As `ParseVersionNumber` in file_system_storage_path_source.cc: absl::SimpleAtoi, which allows white space, a plus
    sign and leading zeros; negative numbers are ignored.
    """
    match = re.fullmatch(r"[ \t\n\v\f\r]*\+?([0-9]+)[ \t\n\v\f\r]*", name)
    return int(match[1]) if match and int(match[1]) <= LARGEST else None


def served_versions(base: Path) -> dict[int, list[str]]:
    """Return the folders that TF Serving would find in a base path, by version, the newest last."""
    folders: dict[int, list[str]] = {}
    with os.scandir(base) as entries:
        for entry in entries:
            if entry.is_dir() and (version := served_version(entry.name)) is not None:
                folders.setdefault(version, []).append(entry.name)
    return dict(sorted(folders.items()))


def check_base_path(path: Path) -> None:
    """Raise ExportError for a version itself in the place of the folder of versions."""
    if (path / "saved_model.pb").exists():
        raise ExportError(f"{path} is a version; give the folder of versions, {path.resolve().parent}")


def newest_version(base: Path) -> tuple[int, Path] | None:
    """Return the version that TF Serving serves by default and its folder, or None."""
    versions = served_versions(base)
    return (max(versions), base / versions[max(versions)][0]) if versions else None


def choose_version(requested: int | str, base: Path) -> int:
    """Return the version to write.

    Args:
        requested: A positive int64, "next" (one more than the largest number in `base`) or "time" (seconds
            since 1970).
        base: A folder of versions; it need not exist.

    Raises:
        ExportError: If the version is invalid, or there is none after the largest.
    """
    if requested == "next":
        names = os.listdir(base) if base.is_dir() else ()
        version = max((v for v in map(served_version, names) if v is not None), default=0) + 1
    elif requested == "time":
        version = int(time.time())
    elif re.fullmatch("[1-9][0-9]*", str(requested)):
        version = int(requested)
    else:
        raise ExportError(
            f"{requested} is not a valid version for TF Serving; give next, time, or a number from 1 without "
            f"leading zeros"
        )
    if version > LARGEST:
        raise ExportError(f"version {version} is larger than TF Serving can read ({LARGEST}); give a smaller number")
    return version
