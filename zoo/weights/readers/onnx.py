"""Reads the initial values of an ONNX file: a protobuf message, without the library and without its graph.

Reference: github.com/onnx/onnx, onnx.proto: ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.
"""

import math
from pathlib import Path

import numpy as np

from export.protocol.c_api import fields
from zoobase.errors import ZooError

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9
_DTYPES = {1: "<f4", 6: "<i4", 7: "<i8"}


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the initial values of a model by name."""
    try:
        (graph,) = (value for key, value in fields(path.read_bytes()) if key == _GRAPH)
        return dict(_tensor(value) for key, value in fields(graph) if key == _INITIALIZER)
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ZooError(f"{path} is not an ONNX file of plain values: {reason}") from error


def _tensor(message: bytes) -> tuple[str, np.ndarray]:
    parts: dict[int, bytes | int] = {}
    shape: list[int] = []
    for key, value in fields(message):
        if key == _DIMS and isinstance(value, int):
            shape.append(value)
        elif key == _DIMS:
            raise ValueError("a shape is packed")
        else:
            parts[key] = value
    name, dtype = bytes(parts[_NAME]).decode(), np.dtype(_DTYPES[parts[_DATA_TYPE]])
    values = parts.get(_RAW, parts.get(_FLOATS, b""))
    if not isinstance(values, bytes) or len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has another size than its values")
    return name, np.frombuffer(values, dtype).reshape(shape).copy()
