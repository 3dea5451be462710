"""The tensor that an application fed, from the file in which it was dumped."""

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.protocol.arrays import check_archive
from zoobase.errors import ExportError
from zoobase.files import check_present

RAW = (".raw", ".bin", ".dat")
DTYPES = ("float32", "uint8", "float16", "int8", "int16", "float64", "int32", "int64")
LARGEST = 2**30  # bytes of a dump


def read(path: Path, dtype: str | None = None, shape: Sequence[int] | None = None, name: str = "") -> np.ndarray:
    """Read one example of a tensor.

    Args:
        path: `.npy`; `.npz`, whose array `name` or only array is taken; `.raw`, `.bin` or `.dat`, the bytes of the
            buffer; or `.json`, a request as TF Serving takes it, whose arrays may be base64 (`{"b64": ...}`) of raw
            bytes.
        dtype: Of raw bytes; by default the one of `DTYPES` that gives as many values as `shape` has.
        shape: Of raw bytes.
        name: The input of the model.

    Raises:
        ExportError: The file is missing, too large, of another kind, or holds something else than one array.
    """
    check_present(path)
    if path.stat().st_size > LARGEST:
        raise ExportError(f"{path} has {path.stat().st_size:,} bytes; dump the tensor of one example")
    try:
        if path.suffix in RAW:
            return _from_bytes(path.read_bytes(), dtype, shape)
        if path.suffix == ".json":
            return _from_request(json.loads(path.read_bytes()), dtype, shape, name)
        if path.suffix == ".npz":
            check_archive(path)
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return stored
        with stored:
            names = stored.files
            if name not in names and len(names) != 1:
                raise ValueError(f"arrays {', '.join(names)}, none of them {name}")
            return stored[name if name in names else names[0]]
    except (ValueError, TypeError, KeyError, EOFError, OSError, RecursionError) as error:
        kinds = ".npy, .npz, .raw or a .json request"
        raise ExportError(f"{path} is not the dump of a tensor ({error}); write {kinds}") from error


def _from_bytes(content: bytes, dtype: str | None, shape: Sequence[int] | None) -> np.ndarray:
    if dtype is not None:
        array = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
        return array.reshape(shape) if shape else array
    count = math.prod(shape or ())
    fitting = [name for name in DTYPES if count and len(content) == count * np.dtype(name).itemsize]
    if not fitting:
        raise ValueError(
            f"{len(content)} bytes, which is no number of values for shape {tuple(shape or ())}; give --dtype"
        )
    arrays = [np.frombuffer(content, np.dtype(name).newbyteorder("<")) for name in fitting]
    plausible = (a for a in arrays if np.isfinite(a).all() and np.abs(a, dtype=float).max(initial=0) < 1e6)
    return next(plausible, arrays[0]).reshape(shape)


def _from_request(request: Any, dtype: str | None, shape: Sequence[int] | None, name: str) -> np.ndarray:
    """Return the first example of a request."""
    if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
        raise ValueError("a request holds either instances or inputs")
    row = request["instances"][0] if "instances" in request else request["inputs"]
    if isinstance(row, dict) and "b64" not in row:
        if name not in row and len(row) != 1:
            raise ValueError(f"inputs {', '.join(map(str, row))}, none of them {name}")
        row = row[name] if name in row else next(iter(row.values()))
    while isinstance(row, list) and len(row) == 1:
        row = row[0]
    if isinstance(row, dict):
        return _from_bytes(base64.b64decode(row["b64"], validate=True), dtype, shape)
    array = np.array(row)
    return array if array.dtype.kind in "US" else array.astype(np.float64)
