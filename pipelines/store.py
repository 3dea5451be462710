"""Where decoded examples are kept between epochs: in memory as whole tensors, else on disk, else nowhere."""

from __future__ import annotations

import fcntl
import functools
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import keyed, sources
from pipelines.errors import USAGE, DataError

PLACES = ("auto", "memory", "disk", "none")
_SAMPLE = 64  # examples measured to estimate the size of all
_CHUNK = 1024
MEMORY = 2**30  # bytes that "auto" keeps in memory; a share of what is free would give another order elsewhere
_WINDOW = 2**28  # bytes of a shuffle buffer; constant for the same reason
_TENSOR = 128  # bytes that holding a tensor costs beside its values: 3 a row, so half as much again for 28x28 pixels


class Store:
    """Decoded examples, kept at first use.

    In memory an example is a row of a tensor and a batch is a gather, which costs microseconds; a shuffle is then a
    perfect permutation. On disk (or kept nowhere) examples stream through a shuffle buffer.
    """

    def __init__(self, decoded: tf.data.Dataset, count: int, place: str) -> None:
        self._decoded, self._count, self._place = decoded, count, place

    def fill(self) -> None:
        """Read the examples now, outside of any function that is being traced: inside, a dataset never ends."""
        with tf.init_scope():
            _ = self._table if self.place == "memory" else (self._stream, self._example_bytes)

    @functools.cached_property
    def place(self) -> str:
        """Where examples are kept: "memory", "disk" or "none"."""
        if self._place != "auto":
            return self._place
        return "memory" if self._example_bytes * self._count <= MEMORY else "disk"

    @functools.cached_property
    def _example_bytes(self) -> int:
        spec = tf.nest.flatten(self._decoded.element_spec)
        if all(leaf.shape.is_fully_defined() and leaf.dtype != tf.string for leaf in spec):
            return sum(leaf.shape.num_elements() * leaf.dtype.size for leaf in spec) or 1
        sample = [tf.nest.flatten(example) for example in self._decoded.take(_SAMPLE)]
        return max(1, sum(_bytes(leaf) for example in sample for leaf in example) // max(1, len(sample)))

    @functools.cached_property
    def _table(self) -> Any:
        """All examples as tensors (count, ...)."""
        chunks = list(self._decoded.batch(_CHUNK).prefetch(2))
        table = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *chunks)
        held = tf.nest.flatten(table)[0].shape[0]
        if held != self._count:
            raise DataError(f"the feed was told of {self._count} examples, but the dataset has {held}", USAGE)
        return table

    @functools.cached_property
    def _stream(self) -> tf.data.Dataset:
        """All examples one by one, from disk if that is the place."""
        if self.place != "disk":
            return self._decoded
        folder = _scratch(self)
        self._decoded.save(str(folder / "examples"))
        return tf.data.Dataset.load(str(folder / "examples"))

    def batches(
        self, count: int, batch_size: int, shuffle: tuple[int, int | tf.Tensor] | None, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Batch the first `count` examples.

        Args:
            count: How many of the examples.
            batch_size: Examples per batch.
            shuffle: (seed, epoch) that decides the order; None keeps it.
            drop_remainder: Drop the smaller last batch.

        Returns:
            Dataset of (index int64 (B,), batch).
        """
        self.fill()
        if self.place == "memory":
            table = self._table
            order = tf.range(count, dtype=tf.int64) if shuffle is None else keyed.permutation(count, *shuffle)
            return (
                tf.data.Dataset.from_tensor_slices(order)
                .batch(batch_size, drop_remainder)
                .map(lambda index: (index, tf.nest.map_structure(lambda whole: tf.gather(whole, index), table)))
            )
        rows = self._stream.take(count).enumerate()
        if shuffle is not None:
            held = self._example_bytes + _TENSOR * len(tf.nest.flatten(rows.element_spec))
            window = min(count, max(batch_size, _WINDOW // held))
            seed = tf.bitcast(keyed.bits(keyed.example_keys(*shuffle, tf.zeros([1], tf.int64)), 0x0D15C, 1), tf.int64)
            if not tf.executing_eagerly():  # beside a global seed of 0, TensorFlow compares ours with 0 in Python
                tf.compat.v1.set_random_seed(1)  # of this graph only
            rows = rows.shuffle(window, seed=seed[0, 0], reshuffle_each_iteration=False)
        return rows.batch(batch_size, drop_remainder)


def _bytes(leaf: tf.Tensor) -> int:
    if leaf.dtype == tf.string:
        return int(tf.reduce_sum(tf.strings.length(leaf))) + 24 * int(tf.size(leaf))
    return int(tf.size(leaf)) * leaf.dtype.size


def _scratch(owner: object) -> Path:
    """Make a folder that lives as long as `owner`; those of processes that were killed are swept away first.

    A half-written cache is never read: its folder is new, and nobody but this process knows its name.
    """
    root = sources.cache_root() / "feeds"
    with sources.locked(root.parent):  # or another process would sweep our folder before we hold its lock
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            with open(old / ".lock", "w") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue  # its process is alive
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        handle = open(folder / ".lock", "w")  # noqa: SIM115 - held open, and thereby locked, until the owner goes
        fcntl.flock(handle, fcntl.LOCK_EX)

    def drop() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        handle.close()

    weakref.finalize(owner, drop)
    return folder
