"""Where a bundle goes, and as which version, when something may be there already."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from export import bundle
from export.errors import ExportError
from export.versions import choose_version

IF_EXISTS = ("error", "new-version", "replace")
EXCHANGE, HERE = 2, -100  # RENAME_EXCHANGE of linux/fs.h, AT_FDCWD of fcntl.h


def choose_place(out: Path, if_exists: str) -> Path:
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
        if out.is_symlink() or not all((out / name).is_file() for name in (bundle.MANIFEST, bundle.SUMS)):
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
        PlaceTaken: If another was faster and nothing may be replaced.
    """
    while True:
        place = choose_place(out, if_exists)
        try:
            if os.path.lexists(place):
                return _replace(folder, place)
            return bundle.publish(folder, place)
        except bundle.PlaceTaken:
            if if_exists == "error":
                raise


def _replace(folder: Path, place: Path) -> Path:
    """Let a staged folder and a bundle change places in one step, then remove the old one."""
    bundle.flush(folder)
    _exchange(folder, place)
    bundle.flush(place.parent, deep=False)
    bundle.discard(folder)
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
