"""Version numbers of TF Serving: how it reads them, and which we write."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from export.errors import ExportError

LARGEST = 2**63 - 1


def served_version(name: str) -> int | None:
    """Return the number that TF Serving reads from a folder's name, or None if it passes the folder by.

    As `ParseVersionNumber` in file_system_storage_path_source.cc: absl::SimpleAtoi, which allows white space, a plus
    sign and leading zeros; negative numbers are passed by.
    """
    match = re.fullmatch(r"[ \t\n\v\f\r]*\+?([0-9]+)[ \t\n\v\f\r]*", name)
    return int(match[1]) if match and int(match[1]) <= LARGEST else None


def served_versions(base: Path) -> dict[int, list[str]]:
    """Return the folders that TF Serving would find in a base path, by version, the newest last."""
    found: dict[int, list[str]] = {}
    with os.scandir(base) as entries:
        for entry in entries:
            if entry.is_dir() and (version := served_version(entry.name)) is not None:
                found.setdefault(version, []).append(entry.name)
    return dict(sorted(found.items()))


def choose_version(wanted: int | str, base: Path) -> int:
    """Return the version to write.

    Args:
        wanted: A positive int64, "next" (one more than anything in `base` that reads as a number) or "time" (seconds
            since 1970).
        base: A folder of versions; it need not be there.

    Raises:
        ExportError: If that is no version, or there is none after the largest.
    """
    if wanted == "next":
        names = os.listdir(base) if base.is_dir() else ()
        version = max((v for v in map(served_version, names) if v is not None), default=0) + 1
    elif wanted == "time":
        version = int(time.time())
    elif re.fullmatch("[1-9][0-9]*", str(wanted)):
        version = int(wanted)
    else:
        raise ExportError(
            f"{wanted} is not a version that we write for TF Serving; give next, time, or a number from 1 without "
            f"leading zeros"
        )
    if version > LARGEST:
        raise ExportError(f"version {version} is larger than TF Serving can read ({LARGEST}); give a smaller number")
    return version
