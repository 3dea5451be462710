"""Reads the tensors of a PyTorch checkpoint of the old format, without PyTorch and without running what is in it.

A pickle is a program. This unpickler knows four names, all of which are answered by code of this file; any other name
that a file asks for ends the reading. Reference: torch/serialization.py, `_legacy_load`.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.core.errors import ZooError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MOST = 2**31  # bytes of a tensor


class _Storage:
    """Numbers of one type, filled in after the pickle was read."""

    def __init__(self, dtype: str, count: int) -> None:
        self.dtype, self.count = np.dtype(dtype), count
        self.values: np.ndarray | None = None


class _View:
    """A tensor: a strided window onto a storage."""

    def __init__(self, storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        """Return a copy; ValueError where the window leaves the storage."""
        values = self.storage.values
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or (
            0 not in self.shape and last >= len(values)
        ):
            raise ValueError("a tensor reaches outside its storage")
        strides = [s * values.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _View,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors of two types and ordered dictionaries."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no tensor")
        return _KNOWN[module, name]

    def persistent_load(self, told: Any) -> _Storage:
        kind, dtype, key, _, count, view = told
        if kind != "storage" or view is not None or not 0 <= count * np.dtype(dtype).itemsize <= _MOST:
            raise pickle.UnpicklingError("it holds something that is no plain storage")
        return self.storages.setdefault(key, _Storage(dtype, count))


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name.

    Args:
        path: A file that `torch.save(state_dict)` wrote before PyTorch 1.6.

    Returns:
        float32 and int64 arrays.

    Raises:
        ZooError: It is no such file, is damaged, or asks for anything but tensors.
    """
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
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, AttributeError, EOFError, IndexError) as error:
        raise ZooError(f"{path} is not a PyTorch checkpoint of plain tensors: {error}") from error


def _fill(storage: _Storage, file: BinaryIO) -> None:
    count = int.from_bytes(file.read(8), "little")
    if count != storage.count:
        raise ValueError("a storage has another size than it says")
    storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    if len(storage.values) != count:
        raise EOFError("it ends too early")
