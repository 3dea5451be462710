"""HDF5 files that hold all that they are read for: no other file's data, and nothing before or behind their own."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from zoobase.errors import CheckFailed

if TYPE_CHECKING:
    import h5py

if sys.platform == "linux":
    import resource

MAGIC = b"\x89HDF\r\n\x1a\n"
_readable: set[tuple[int, ...]] = set()  # files that this process has examined; those of a bundle are opened often
SECONDS, BYTES_PER_SECOND = 60, 10**7  # that reading a file may take


def open_hdf5(source: Path | bytes, name: str | os.PathLike[str] | None = None) -> h5py.File:
    """Open an HDF5 file for reading, once it is known that all of it lies in this file.

    HDF5 searches its signature behind any number of other bytes, and links, datasets and virtual datasets can name any
    other file of the machine, which would be read in their stead. A damaged file can end the process that reads it, or
    be read for ever: another process, where there are forks, reads all of it before.

    Args:
        source: The path, or the content.
        name: What errors call it; None is the path.

    Raises:
        CheckFailed: It has bytes before or behind the HDF5 file, or would read another file.
        OSError: It is not an HDF5 file, or is damaged.

    Example:
        >>> with open_hdf5("model.weights.h5") as file:
        ...     list(file)
        ['layers', 'vars']
    """
    import h5py

    name = name or source
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else source.open("rb"))
        head = stream.read(52)
        if not head.startswith(MAGIC):
            if isinstance(source, Path) and find_signature(source):
                raise CheckFailed(f"{name} is refused: it has other content before its HDF5 file; write it again")
            raise OSError(f"{name} is not an HDF5 file")
        size = stream.seek(0, os.SEEK_END)
        if not _is_readable(source, size):
            raise OSError(f"{name} is damaged: the HDF5 library cannot read it")
        file = stack.enter_context(h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r"))
        if size != _end(head):
            raise CheckFailed(f"{name} is refused: it has other content behind its HDF5 file; write it again without")
        if found := _find_foreign(file):
            raise CheckFailed(f"{name} is refused: its {found}, so that reading it would read another file")
        stack.pop_all()
    return file


def find_signature(path: Path) -> int | None:
    """Return the offset at which the HDF5 library finds its signature in a file, or None: 0, 512, 1024, 2048..."""
    with path.open("rb") as stream:
        size, offset = os.fstat(stream.fileno()).st_size, 0
        while offset < size:
            stream.seek(offset)
            if stream.read(len(MAGIC)) == MAGIC:
                return offset
            offset = 2 * offset or 512
    return None


def _end(head: bytes) -> int | None:
    """Return the size of a file as its superblock, whose version is the byte behind the signature, states it."""
    start = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[len(MAGIC)])  # behind two other addresses of 8 bytes
    return None if start is None else struct.unpack_from("<Q", head, start)[0]


def _is_readable(source: Path | bytes, size: int) -> bool:
    """Return whether a process that reads all of a file ends, and by itself; an exception occurs here again."""
    if sys.platform != "linux" or (key := _key(source)) in _readable:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the other process uses none of their locks
        child = os.fork()
    if child == 0:
        try:
            _read_all(source, size)
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        return False
    _readable.add(key)
    return True


def _key(source: Path | bytes) -> tuple[int, ...]:
    if isinstance(source, bytes):
        return len(source), hash(source)
    state = source.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _read_all(source: Path | bytes, size: int) -> None:
    """Read all values of a file in a limited time and memory, and nothing of another file."""
    import h5py

    faulthandler.disable()  # what damaged files do to this process is expected
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS + size // BYTES_PER_SECOND)
    used = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) << 10
    for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, used + 2**31 + 10 * size)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
        if _find_foreign(file):
            return
        objects = [file]
        file.visititems(lambda _, item: objects.append(item))
        for item in objects:
            for read in (lambda i=item: dict(i.attrs), lambda i=item: i[()] if isinstance(i, h5py.Dataset) else None):
                with contextlib.suppress(Exception):
                    read()


def _find_foreign(file: h5py.File) -> str | None:
    """Return the first group or dataset that another file has the content of, as the start of a clause, or None."""
    from h5py import Dataset, Group, h5l, h5o

    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        for key in group.id:
            kind = group.id.links.get_info(key).type
            where = f"{group.name.rstrip('/')}/{key.decode('utf-8', 'replace')}"
            if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
                return f"{where} is an external link"
            item = group[key] if kind == h5l.TYPE_HARD else None
            if isinstance(item, Dataset) and item.external:
                return f"{where} has its values in an external file"
            if isinstance(item, Dataset) and item.is_virtual:
                return f"{where} is a virtual dataset"
            if isinstance(item, Group) and (address := h5o.get_info(item.id).addr) not in seen:
                seen.add(address)
                groups.append(item)
    return None
