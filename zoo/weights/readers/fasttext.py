"""Reads a fastText model of classes with a hierarchical softmax and quantized vectors, such as lid.176.ftz.

Reference: Joulin 2016, arXiv:1612.03651; github.com/facebookresearch/fastText, whose classes write the parts in order.
"""

import io
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoobase.errors import ZooError

HEAD = (793712314, 12)  # magic number and version
HIERARCHICAL, SUPERVISED, CENTROIDS, LABEL = 1, 3, 256, "__label__"


class Model(NamedTuple):
    """The parts of a file."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    counts: tuple[int, ...]  # of the labels
    buckets: dict[int, int]  # of n-grams -> their rows behind those of the words
    vectors: np.ndarray  # float32 (rows, width)
    nodes: (
        np.ndarray
    )  # float32 (labels, width): those of the inner nodes of the tree, from the leaves on, and an unused


def read(path: Path) -> Model:
    """Return the model of a file; ZooError for one of another kind."""
    try:
        return _model(io.BytesIO(path.read_bytes()))
    except (ValueError, IndexError, struct.error) as error:
        raise ZooError(f"{path} is not a quantized fastText model of classes: {error}") from error


def _model(file: io.BytesIO) -> Model:
    head, settings = _numbers(file, "2i"), _numbers(file, "11i")
    _numbers(file, "id")
    if head != HEAD or (settings[5], settings[6], settings[7]) != (1, HIERARCHICAL, SUPERVISED):
        raise ValueError("it has another version, another loss or n-grams of words")
    size, _, _, _, pruned = _numbers(file, "3i2q")
    entries = [_entry(file) for _ in range(size)]
    buckets = dict(_numbers(file, "2i") for _ in range(pruned))
    if _numbers(file, "?") != (True,):
        raise ValueError("its vectors are not quantized")
    vectors = _quantized(file)
    is_quantized, rows, width = _numbers(file, "?qq")
    if is_quantized:
        raise ValueError("its tree is quantized")
    nodes = _array(file, "<f4", rows, width)
    words = tuple(name for name, _, is_label in entries if not is_label)
    labels = tuple(name.removeprefix(LABEL) for name, _, is_label in entries if is_label)
    return Model(words, labels, tuple(count for _, count, is_label in entries if is_label), buckets, vectors, nodes)


def _numbers(file: io.BytesIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _array(file: io.BytesIO, dtype: str, *shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype, count).reshape(shape)


def _entry(file: io.BytesIO) -> tuple[str, int, int]:  # name, count, whether it is a label
    start, content = file.tell(), file.getbuffer()
    end = next(i for i in range(start, len(content) + 1) if not content[i])
    name = file.read(end - start + 1)[:-1].decode()
    return name, *_numbers(file, "qb")


def _centroids(file: io.BytesIO) -> np.ndarray:
    _, parts, size, _ = _numbers(file, "4i")
    return _array(file, "<f4", parts, CENTROIDS, size)


def _quantized(file: io.BytesIO) -> np.ndarray:
    """Return the vectors, whose parts are the centroids of their codes, times their norms."""
    with_norms, rows, width, count = _numbers(file, "?qqi")
    codes = _array(file, "u1", rows, count // max(rows, 1))
    vectors = _centroids(file)[np.arange(codes.shape[1]), codes].reshape(rows, width)
    if with_norms:
        norms = _array(file, "u1", rows)
        vectors = vectors * _centroids(file)[0, norms]
    return vectors
