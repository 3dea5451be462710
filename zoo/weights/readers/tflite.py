"""Reads the constants of a TFLite file: a FlatBuffer, without the interpreter and without its operators.

Reference: github.com/tensorflow/tensorflow, tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from zoobase.errors import ZooError

_SUBGRAPHS, _BUFFERS = 2, 4  # fields of a model
_TENSORS = 0  # of a subgraph
_SHAPE, _TYPE, _BUFFER, _NAME = range(4)  # of a tensor
_DATA = 0  # of a buffer
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the constants of the first subgraph by name."""
    content = path.read_bytes()
    try:
        model = Table(content, encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
        buffers = [_bytes(buffer, _DATA) for buffer in _tables(model, _BUFFERS)]
        tensors = list(_tables(next(_tables(model, _SUBGRAPHS)), _TENSORS))
        constants = [(tensor, buffers[_number(tensor, _BUFFER, number_types.Uint32Flags)]) for tensor in tensors]
        return dict(_tensor(tensor, values) for tensor, values in constants if values)
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, struct.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise ZooError(f"{path} is not a TFLite file of plain values: {reason}") from error


def _tensor(tensor: Table, values: bytes) -> tuple[str, np.ndarray]:
    name, shape = _bytes(tensor, _NAME).decode(), np.frombuffer(_bytes(tensor, _SHAPE, 4), "<i4")
    dtype = np.dtype(_DTYPES[_number(tensor, _TYPE, number_types.Int8Flags)])
    if (shape < 0).any() or len(values) != math.prod(shape.tolist()) * dtype.itemsize:
        raise ValueError(f"{name} has another size than its values")
    return name, np.frombuffer(values, dtype).reshape(shape).copy()


def _number(table: Table, field: int, kind: type) -> int:
    offset = table.Offset(4 + 2 * field)
    return int(table.Get(kind, table.Pos + offset)) if offset else 0


def _bytes(table: Table, field: int, size: int = 1) -> bytes:
    """Return the content of a vector of values of `size` bytes, or of a string."""
    if not (offset := table.Offset(4 + 2 * field)):
        return b""
    start = table.Vector(offset)
    content = bytes(table.Bytes[start : start + size * table.VectorLen(offset)])
    if len(content) != size * table.VectorLen(offset):
        raise ValueError("it is not complete")
    return content


def _tables(table: Table, field: int) -> Iterator[Table]:
    if offset := table.Offset(4 + 2 * field):
        start = table.Vector(offset)
        for i in range(table.VectorLen(offset)):
            yield Table(table.Bytes, table.Indirect(start + 4 * i))
