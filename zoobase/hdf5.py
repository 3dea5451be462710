"""HDF5 files that hold all that they are read for: no other file's data, and nothing before or behind their own."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from zoobase.errors import CheckFailed

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01"  # of strings of variable length


def open_hdf5(source: Path | bytes, name: str | os.PathLike[str] | None = None) -> h5py.File:
    """Open an HDF5 file for reading; CheckFailed if anything is before or behind it, or it would read other files."""
    # HDF5 finds its signature behind other bytes, and links and virtual datasets would read any file of the machine.
    import h5py

    name = name or source
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else source.open("rb"))
        head = stream.read(52)
        if not head.startswith(MAGIC):
            if isinstance(source, Path) and find_signature(source):
                raise CheckFailed(f"{name} is refused: it has other content before its HDF5 file; write it again")
            raise OSError(f"{name} is not an HDF5 file")
        if _has_endless_heap(source if isinstance(source, bytes) else stream):
            raise OSError(f"{name} is damaged: its strings have no end")
        file = stack.enter_context(h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r"))
        # The superblock, whose version is behind the signature, states the size behind two addresses of 8 bytes.
        start = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[len(MAGIC)])
        if start is None or stream.seek(0, os.SEEK_END) != struct.unpack_from("<Q", head, start)[0]:
            raise CheckFailed(f"{name} is refused: it has other content behind its HDF5 file; write it again without")
        if found := _find_external(file):
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


def _has_endless_heap(content: bytes | BinaryIO) -> bool:
    """Return whether an object of a global heap is empty, or larger than the heap: HDF5 never ends there."""
    # The layout is that of section III.E of the HDF5 file format: 16 bytes of header with the size of the heap, and
    # objects of index, count, reserved bytes and size (2, 2, 4 and 8 bytes) with content in steps of 8 bytes. Index 0
    # is what is free, and its size includes these 16 bytes. A heap that is larger than the file is refused by the
    # library.
    with contextlib.ExitStack() as stack:
        if not isinstance(content, bytes):
            content = stack.enter_context(mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ))
        start = content.find(HEAP)
        while start >= 0:
            position, end = start + 16, start + int.from_bytes(content[start + 8 : start + 16], "little")
            while position + 16 <= end <= len(content):
                index, size = struct.unpack_from("<H6xQ", content, position)
                size = size if index == 0 else 16 + (size + 7) // 8 * 8
                if not 16 <= size <= end - position:
                    return True
                position += size
            start = content.find(HEAP, start + len(HEAP))
    return False


def _find_external(file: h5py.File) -> str | None:
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
