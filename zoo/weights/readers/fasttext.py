"""Reads a fastText model of classes with a hierarchical softmax and quantized vectors, such as lid.176.ftz.

Reference: Joulin 2016, arXiv:1612.03651; github.com/facebookresearch/fastText, whose classes write the parts in order.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoobase.errors import ZooError

MAGIC, VERSION = 793712314, 12
HIERARCHICAL, SUPERVISED, CENTROIDS = 1, 3, 256
LABEL = "__label__"


class Model(NamedTuple):
    """The parts of a file."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    counts: tuple[int, ...]  # of the labels
    buckets: dict[int, int]  # hash of an n-gram -> its row behind those of the words
    settings: dict[str, int]
    vectors: np.ndarray  # float32 (rows, width)
    nodes: (
        np.ndarray
    )  # float32 (labels, width): those of the inner nodes of the tree, from the leaves on, and an unused


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def bytes(self, count: int) -> bytes:
        if count < 0 or self.position + count > len(self.content):
            raise ValueError("it is not complete")
        self.position += count
        return self.content[self.position - count : self.position]

    def numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))

    def array(self, dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(count * np.dtype(dtype).itemsize), dtype)

    def entry(self) -> tuple[str, int, int]:  # name, count, whether it is a label
        end = self.content.index(b"\0", self.position)
        name = self.bytes(end - self.position).decode()
        self.bytes(1)
        return name, *self.numbers("qb")

    def centroids(self) -> tuple[np.ndarray, int]:  # (parts, 256, width of a part)
        width, parts, size, last = self.numbers("4i")
        if last != size or parts * size != width:
            raise ValueError("its parts have several sizes")
        return self.array("<f4", width * CENTROIDS).reshape(parts, CENTROIDS, size), parts

    def quantized(self) -> np.ndarray:
        """Return the vectors whose parts are the centroids of its codes, times their norm."""
        with_norms, rows, width, count = self.numbers("?qqi")
        codes = self.array("u1", count)
        centroids, parts = self.centroids()
        codes = codes.reshape(rows, parts)
        vectors = centroids[np.arange(parts), codes].reshape(rows, width)
        if not with_norms:
            return vectors
        norms = self.array("u1", rows)
        return vectors * self.centroids()[0][0][norms]


def read(path: Path) -> Model:
    """Return the model of a file; ZooError for one of another kind."""
    reader = _Reader(path.read_bytes())
    try:
        if reader.numbers("2i") != (MAGIC, VERSION):
            raise ValueError(f"it is not of version {VERSION}")
        names = (
            "width",
            "ws",
            "epoch",
            "least",
            "neg",
            "word_ngrams",
            "loss",
            "model",
            "buckets",
            "shortest",
            "longest",
        )
        settings = dict(zip(names, reader.numbers("11i"), strict=True))
        reader.numbers("id")
        size, _, _, _, pruned = reader.numbers("3i2q")
        entries = [reader.entry() for _ in range(size)]
        buckets = dict(reader.numbers("2i") for _ in range(pruned))
        if (settings["loss"], settings["model"], settings["word_ngrams"]) != (HIERARCHICAL, SUPERVISED, 1):
            raise ValueError("it has another loss or n-grams of words")
        if reader.numbers("?") != (True,):
            raise ValueError("its vectors are not quantized")
        vectors = reader.quantized()
        if reader.numbers("?") != (False,):
            raise ValueError("its tree is quantized")
        rows, width = reader.numbers("2q")
        nodes = reader.array("<f4", rows * width).reshape(rows, width)
    except (ValueError, struct.error, UnicodeDecodeError) as error:
        raise ZooError(f"{path} is not a quantized fastText model of classes: {error}") from error
    words = tuple(name for name, _, is_label in entries if not is_label)
    labels = tuple(name.removeprefix(LABEL) for name, _, is_label in entries if is_label)
    counts = tuple(count for _, count, is_label in entries if is_label)
    return Model(words, labels, counts, buckets, settings, vectors, nodes)
