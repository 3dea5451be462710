"""Reads the arrays of a list that joblib has written, without joblib and without executing its code.

A pickle is a program. This unpickler allows three global names, which it maps to objects of this file; any other name
is an error. References: joblib/numpy_pickle.py (`NumpyArrayWrapper`); the formats of frames and blocks of LZ4,
github.com/lz4/lz4, doc/lz4_Frame_format.md and doc/lz4_Block_format.md.
"""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from zoobase.errors import ZooError

MAGIC = b"\x04\x22\x4d\x18"
LARGEST = 2**28  # bytes of what a file holds


class _Array:
    """What joblib pickles in place of an array, whose values follow the instruction that sets its state."""

    shape: tuple[int, ...]
    values: np.ndarray

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.shape = state["shape"]
        if not state["dtype"].is_float32 or state["order"] != "C":
            raise ValueError("it has an array that is not float32, or not in rows")
        if not all(type(n) is int and n >= 0 for n in self.shape):
            raise ValueError("an array has sizes that are no whole numbers")


class _DType:
    """The type of an array: only little-endian float32 is allowed."""

    def __init__(self, name: str, *_: Any) -> None:
        self.is_float32 = name == "f4"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.is_float32 = self.is_float32 and state[1] == "<"


_ALLOWED: dict[tuple[str, str], Any] = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Array,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _DType,
}


class _Unpickler(pickle._Unpickler):
    """Allows lists of float32 arrays only. It is the one in Python: that in C reserves memory for any length."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not an array")
        return _ALLOWED[module, name]

    def load_build(self) -> None:
        """Set the state of an object; the values of an array follow, after a byte and as much padding as it says."""
        super().load_build()
        array = self.stack[-1]
        if isinstance(array, _Array):
            self.file.read(self.file.read(1)[0])
            count = math.prod(array.shape)
            values = np.frombuffer(self.file.read(4 * count), "<f4")
            if len(values) != count:
                raise EOFError("the file is truncated")
            array.values = values.reshape(array.shape)

    dispatch[pickle.BUILD[0]] = load_build


def read(path: Path) -> list[np.ndarray]:
    """Return the float32 arrays of a list that `joblib.dump(arrays, "NAME.lz4")` wrote; nothing else is read."""
    try:
        arrays = _Unpickler(io.BytesIO(_decompressed(path.read_bytes()))).load()
        if not isinstance(arrays, list) or not all(isinstance(array, _Array) for array in arrays):
            raise ValueError("it is not a list of arrays")
        return [array.values for array in arrays]
    except Exception as error:  # a damaged pickle may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ZooError(f"{path} is not a list of arrays by joblib: {reason}") from error


def _decompressed(data: bytes) -> bytes:
    """Return what a frame of LZ4 holds. Its checksums are not compared: the file has a sha256."""
    if data[:4] != MAGIC or data[4] >> 6 != 1:
        raise ValueError("it is not compressed by LZ4")
    flags, at, content = data[4], 7, bytearray()
    at += 8 * (flags >> 3 & 1) + 4 * (flags & 1)  # the size of the content, and the number of a dictionary
    while size := int.from_bytes(data[at : at + 4], "little"):
        start, end = at + 4, at + 4 + (size & 0x7FFFFFFF)
        if end > len(data):
            raise EOFError("the file is truncated")
        if size >> 31:  # not compressed
            content += data[start:end]
        else:
            _decompress(data[start:end], content)
        at = end + 4 * (flags >> 4 & 1)
    return bytes(content)


def _decompress(block: bytes, content: bytearray) -> None:
    """Append what a block holds: literal bytes and repetitions of earlier ones, in turn."""
    at = 0

    def length(nibble: int) -> int:
        nonlocal at
        more = nibble == 15
        while more:
            more = block[at] == 255
            nibble += block[at]
            at += 1
        return nibble

    while at < len(block):
        token = block[at]
        at += 1
        literal = length(token >> 4)
        content += block[at : at + literal]
        at += literal
        if at >= len(block):  # the last sequence has literals only
            return
        distance = int.from_bytes(block[at : at + 2], "little")
        at += 2
        count = length(token & 15) + 4
        if not 0 < distance <= len(content) or len(content) + count > LARGEST:
            raise ValueError("a repetition is not of earlier bytes")
        earlier = content[-distance:][:count]  # the end of it may be repeated before it is written
        content += (earlier * (count // len(earlier) + 1))[:count]
