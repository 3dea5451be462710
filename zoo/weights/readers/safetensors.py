"""Reads the tensors of a safetensors file: a JSON header and plain values, without code.

Reference: huggingface.co/docs/safetensors, "Format".
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from zoobase.errors import ZooError

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
_LARGEST_HEADER = 100_000_000  # bytes, as in the reference implementation


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file by name."""
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str) -> dict[str, np.ndarray]:
    """Return the tensors of the content of a file, which errors call `name`."""
    try:
        size = int.from_bytes(content[:8], "little")
        if size > min(_LARGEST_HEADER, len(content) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(content[8 : 8 + size])
        values = memoryview(content)[8 + size :]
        return {key: _tensor(entry, values) for key, entry in header.items() if key != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ZooError(f"{name} is not a complete safetensors file ({reason}); download it again") from error


def _tensor(entry: dict[str, Any], values: memoryview) -> np.ndarray:
    """Return a copy of the tensor of an entry of the header."""
    dtype, shape, (start, end) = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError("a tensor has sizes that are no whole numbers")
    if end > len(values) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("a tensor has another size than its values")
    return np.frombuffer(values[start:end], dtype).reshape(shape).copy()
