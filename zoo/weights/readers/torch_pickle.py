"""Reads the tensors of a PyTorch checkpoint in the legacy format, without PyTorch and without executing its code.

A pickle is a program. This unpickler allows four global names, which it maps to objects of this file; any other name is
an error. Reference: torch/serialization.py, `_legacy_load`.
"""

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoobase.errors import ZooError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_BYTES = 2**31  # of a tensor


class _Storage:
    """A typed array whose values are read after the pickle."""

    def __init__(self, dtype: str, count: int) -> None:
        self.dtype, self.count = np.dtype(dtype), count
        self.values: np.ndarray | None = None


class _View:
    """A tensor: a strided view of a storage."""

    def __init__(self, storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        """Return a copy; ValueError if the view exceeds the storage, or repeats its values."""
        values = self.storage.values
        if not all(type(n) is int for n in (self.offset, *self.shape, *self.strides)):
            raise ValueError("a tensor has sizes that are no whole numbers")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or (
            0 not in self.shape and last >= len(values)
        ):
            raise ValueError("a tensor exceeds its storage")
        if math.prod(self.shape) > len(values):  # strides of 0 would make any number of values of one
            raise ValueError("a tensor has more values than its storage")
        strides = [s * values.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _View,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(pickle._Unpickler):
    """Allows tensors of two types and ordered dictionaries only."""

    # It is the one in Python: that in C reserves memory for any index or length that the file states.
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not a tensor")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, view = pid
        if kind != "storage" or view is not None or not 0 <= count * np.dtype(dtype).itemsize <= _MAX_BYTES:
            raise pickle.UnpicklingError("it contains an object that is not a plain storage")
        return self.storages.setdefault(key, _Storage(dtype, count))


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 and int64 tensors that `torch.save(state_dict)` wrote before PyTorch 1.6, by name."""
    file = io.BytesIO(path.read_bytes())
    try:
        magic, protocol, system = (_Unpickler(file).load() for _ in range(3))
        if (magic, protocol, system["little_endian"]) != (MAGIC, PROTOCOL, True):
            raise ValueError("another version of the format")
        tensors = _Unpickler(file)
        state = tensors.load()
        for key in _Unpickler(file).load():
            _fill(tensors.storages[key], file)
        return {name: view.array() for name, view in state.items()}
    except Exception as error:  # a damaged pickle may raise anything
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) or not str(error) else str(error)
        raise ZooError(
            f"{path} is not a PyTorch checkpoint of plain tensors: {' '.join(reason.split())[:200]}"
        ) from error


def _fill(storage: _Storage, file: BinaryIO) -> None:
    count = int.from_bytes(file.read(8), "little")
    if count != storage.count:
        raise ValueError("the size of a storage is not the stated one")
    storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    if len(storage.values) != count:
        raise EOFError("the file is truncated")
