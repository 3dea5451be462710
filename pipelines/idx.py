"""The idx files of the MNIST family: check them, read them, and give them the gzip header their publisher gave them.

Format: http://yann.lecun.com/exdb/mnist/ and RFC 1952 (gzip).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from pipelines.errors import DataError

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


def read(path: Path) -> np.ndarray:
    """Read a gzip-compressed idx file of bytes.

    Args:
        path: The file.

    Returns:
        uint8 array, (N,) for labels and (N, H, W) for images.

    Raises:
        DataError: The file is not gzip, is damaged or cut short, or is not idx of unsigned bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or not a gzip file ({error}); fetch it again") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise DataError(f"{path} is not an idx file of unsigned bytes; is it the right file?")
    start = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:start]) if len(raw) >= start else (-1,)
    if len(raw) - start != int(np.prod(shape)):
        raise DataError(f"{path} states the shape {shape} but holds {len(raw) - start} bytes; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def with_header(raw: bytes, name: str, mtime: int) -> bytes:
    """Give a gzip file another header; the compressed payload stays as it is.

    Debian repacks the files without name and time, so that their checksums differ from the publisher's.

    Args:
        raw: The gzip file.
        name: File name to store, without .gz.
        mtime: Time to store, in seconds since 1970.

    Returns:
        The gzip file with that name and time.

    Raises:
        DataError: `raw` is not a gzip file.
    """
    try:
        if raw[:3] != b"\x1f\x8b\x08":
            raise ValueError("no gzip magic")
        flags, end = raw[3], 10
        if flags & _FEXTRA:
            end += 2 + int.from_bytes(raw[end : end + 2], "little")
        for flag in (_FNAME, _FCOMMENT):
            if flags & flag:
                end = raw.index(b"\0", end) + 1
        if flags & _FHCRC:
            end += 2
    except ValueError as error:
        raise DataError(f"{name}.gz is damaged or not a gzip file; fetch it again") from error
    return raw[:3] + bytes([_FNAME]) + struct.pack("<I", mtime) + raw[8:10] + name.encode() + b"\0" + raw[end:]
