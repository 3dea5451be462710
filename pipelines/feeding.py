"""Input pipeline: decode > cache > shuffle by epoch > batch > augment > prefetch.

The output depends on the seed only, not on the parallelism: the order of an epoch is a function of (seed, epoch), and
augmentation of (seed, epoch, example index). Training can therefore resume at any epoch.

Decoded examples are cached between epochs in memory as whole tensors, or on disk, or not at all.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import stateless_random
from pipelines.sources import storage
from zoobase.errors import USAGE, DataError
from zoobase.files import cache_root

Batch = Any  # the result of `decode`: a tensor or a (nested) tuple of tensors, with a leading batch dimension
Augment = Callable[[Batch, tf.Tensor], Batch]
CACHES = ("auto", "memory", "disk", "none")
_SAMPLE = 64  # examples measured to estimate the size of all
_CHUNK = 1024
MEMORY = 2**30  # bytes that "auto" caches in memory; constant, so that the order does not depend on free memory
_SMALL = 2**26  # bytes
_WINDOW = 2**28  # bytes of a shuffle buffer; constant for the same reason
_TENSOR = 128  # overhead of a tensor in bytes: with 3 per row, half the size of 28x28 pixels


def feed(
    examples: tf.data.Dataset,
    *,
    decode: Callable[[Any], Any] | None = None,
    count: int | None = None,
    augment: Augment | None = None,
    cache: str = "auto",
    ordered: bool = False,
    length: Callable[[Batch], tf.Tensor] | None = None,
) -> Feed:
    """Return an input pipeline for a split.

    Args:
        examples: Finite ordered dataset, such as a split of a `Dataset`.
        decode: One example -> (x, y) or (x, y, weight); a pure TensorFlow function without randomness. All examples
            must be decoded to the same shapes.
        count: Number of examples, if `examples.cardinality()` is unknown.
        augment: (batch, keys int64 (B, 3)) -> batch; keyed by example, see `pipelines.augment`.
        cache: Where decoded examples are cached: "memory", "disk", "none", or "auto": in memory up to 1 GiB, else on
            disk. The order of an epoch is not the same in memory and on disk.
        ordered: Never shuffle, for models whose state is carried from batch to batch.
        length: Decoded examples (B, ...) -> (B,): the batches of an epoch, in random order, are of examples of about
            the same length, so that little of them is padding. Only examples that are cached in memory are sorted.

    Returns:
        The feed; nothing is read before its first batch.

    Raises:
        DataError: There are no examples, or infinitely many.

    Example:
        >>> numbers = feed(tf.data.Dataset.range(10))
        >>> numbers.steps(4)
        3
        >>> for batch in numbers.batches(4).as_numpy_iterator():
        ...     print(*batch)
        0 1 2 3
        4 5 6 7
        8 9
    """
    if cache not in CACHES:
        raise DataError(f'cache "{cache}" is not one of {", ".join(CACHES)}', USAGE)
    if count is None:
        count = int(examples.cardinality())
        if count == tf.data.UNKNOWN_CARDINALITY:
            count = int(examples.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))
    if count <= 0:
        raise DataError("the dataset is empty or infinite", USAGE)
    return Feed(count, Store(examples, decode, count, cache, length), augment, ordered)


@dataclass(frozen=True)
class Feed:
    """Decoded examples in a fixed order, and methods that batch them. Created by `feed`."""

    count: int  # number of examples
    store: Store = field(repr=False)  # the cache of decoded examples
    augment: Augment | None = None  # applied to whole batches, or None
    ordered: bool = False  # whether epochs keep the order of the examples
    parts: int = 1  # number of parts of each batch, see `share`
    own: range = range(1)  # the parts that this feed returns, in order

    @property
    def is_small(self) -> bool:
        """Whether the decoded examples can be kept in memory after their use: 64 MiB or less."""
        return self.store.location == "memory" and self.store.bytes <= _SMALL

    def steps(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Return the number of batches per epoch."""
        whole, rest = divmod(self.count, batch_size)
        return whole if drop_remainder or rest < self.parts else whole + 1

    def share(self, parts: int, own: range) -> Feed:
        """Return a feed of some parts of each batch, for replicas of a model that share a batch.

        Batch sizes remain those of whole batches; each own part is a batch of the new feed, and parts differ by one
        example at most. Order and augmentation of the examples do not depend on the number of parts. A last batch of
        fewer than `parts` examples is dropped.

        Args:
            parts: Number of parts.
            own: Those of this feed.

        Example:
            >>> second = feed(tf.data.Dataset.range(10)).share(2, range(1, 2))
            >>> print(*second.batches(4).as_numpy_iterator(), sep="  ")
            [2 3]  [6 7]  [9]
        """
        return replace(self, parts=parts, own=own)

    def take(self, n: int) -> Feed:
        """Return a feed of the first n examples (or all, if there are fewer) that shares the cache of this one."""
        return replace(self, count=min(n, self.count))

    def train(self, batch_size: int, *, seed: int = 0) -> tf.data.Dataset:
        """Return shuffled and augmented batches for `model.fit`: each iteration is one more epoch, in another order.

        Args:
            batch_size: Examples per batch; the last batch may be smaller.
            seed: Determines the order and the augmentation of the n-th iteration.

        Returns:
            `steps(batch_size)` batches per iteration. The iteration count is not stored: to resume, use `epochs`.

        Example:
            >>> numbers = feed(tf.data.Dataset.range(6)).train(3)
            >>> orders = [[int(x) for batch in numbers for x in batch] for _ in range(2)]
            >>> sorted(orders[0]) == sorted(orders[1]), orders[0] == orders[1]
            (True, False)
        """
        self.store.fill()
        draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        passes = draws.flat_map(lambda epoch: self._pass(batch_size, seed, epoch, shuffled=True, drop_remainder=False))
        total = len(self.own) * self.steps(batch_size)
        return passes.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def batches(self, batch_size: int, *, seed: int = 0, epoch: int = 0, augmented: bool = True) -> tf.data.Dataset:
        """Return one pass over the examples in order.

        Args:
            batch_size: Examples per batch.
            seed: Determines, with the epoch, the augmentation.
            epoch: See `seed`; `augment` gets the keys (seed, epoch, index).
            augmented: Whether the feed's augmentation is applied.
        """
        feed = self if augmented else replace(self, augment=None)
        one = feed._pass(batch_size, seed, epoch, shuffled=False, drop_remainder=False)
        total = len(self.own) * self.steps(batch_size)
        return one.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def epochs(
        self, batch_size: int, *, seed: int, start: int = 0, stop: int, skip: int = 0, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Return the epochs start..stop-1 one after the other, each in its own order.

        Args:
            batch_size: Examples per batch; the last batch of an epoch may be smaller.
            seed: Determines, with the epoch, the order and the augmentation.
            start: First epoch; epoch 3 does not depend on epochs 0 to 2.
            stop: One past the last epoch.
            skip: Number of batches of the first epoch to omit, as they were trained on before an interruption.
            drop_remainder: Drop the smaller last batch of each epoch.

        Returns:
            `steps(batch_size, drop_remainder)` batches per epoch.
        """
        total = len(self.own) * ((stop - start) * self.steps(batch_size, drop_remainder) - skip)
        passes = tf.data.Dataset.range(start, stop).flat_map(
            lambda epoch: self._pass(
                batch_size, seed, epoch, shuffled=True, drop_remainder=drop_remainder,
                skip=tf.where(epoch == start, tf.constant(skip, tf.int64), 0),
            )
        )  # fmt: skip
        return passes.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def _pass(
        self,
        batch_size: int,
        seed: int,
        epoch: int | tf.Tensor,
        *,
        shuffled: bool,
        drop_remainder: bool,
        skip: int | tf.Tensor = 0,
    ) -> tf.data.Dataset:
        """Return one pass over the first `count` examples: indexed, batched, and augmented by their keys."""
        indexed = self.store.batches(
            self.count, batch_size, (seed, epoch) if shuffled and not self.ordered else None, drop_remainder
        )
        indexed = indexed.skip(skip)
        if self.parts > 1:
            indexed = indexed.flat_map(lambda *batch: self._own_parts(batch))
        return self._augmented(indexed, seed, epoch)

    def _augmented(self, indexed: tf.data.Dataset, seed: int, epoch: int | tf.Tensor) -> tf.data.Dataset:
        """Return the batches of (index, batch), augmented."""

        def finish(index: tf.Tensor, batch: Batch) -> Batch:
            return self.augment(batch, stateless_random.example_keys(seed, epoch, index)) if self.augment else batch

        return indexed.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _own_parts(self, batch: Batch) -> tf.data.Dataset:
        """Return the own parts of a batch; none of a batch with fewer examples than parts."""
        size = tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]

        def cut(part: tf.Tensor) -> Batch:
            bounds = slice(size * part // self.parts, size * (part + 1) // self.parts)
            return tf.nest.map_structure(lambda values: values[bounds], batch)

        stop = tf.where(size < self.parts, tf.constant(self.own.start, tf.int64), self.own.stop)
        return tf.data.Dataset.range(self.own.start, stop).map(cut)


class Store:
    """The cache of decoded examples, filled at first use."""

    # In memory an example is a row of a tensor and a batch is a gather, which costs microseconds; a shuffle is then a
    # perfect permutation. From disk, or without a cache, examples stream through a shuffle buffer.
    def __init__(
        self,
        examples: tf.data.Dataset,
        decode: Callable[[Any], Any] | None,
        count: int,
        location: str,
        length: Callable[[Batch], tf.Tensor] | None = None,
    ) -> None:
        self.examples, self.decode, self.count, self.requested = examples, decode, count, location
        self.length = length
        self._decoded = examples if decode is None else examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    def fill(self) -> None:
        """Read the examples now, outside of any function that is being traced, in which a dataset never ends."""
        with tf.init_scope():
            _ = self._table if self.location == "memory" else (self._stream, self._example_bytes)

    @functools.cached_property
    def location(self) -> str:
        """Where examples are cached: "memory", "disk" or "none"."""
        if self.requested != "auto":
            return self.requested
        return "memory" if self.bytes <= MEMORY else "disk"

    @property
    def bytes(self) -> int:
        """The size of all decoded examples, about."""
        return self._example_bytes * self.count

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
        actual = tf.nest.flatten(table)[0].shape[0]
        if actual != self.count:
            raise DataError(f"count is {self.count}, but the dataset has {actual} examples", USAGE)
        return table

    @functools.cached_property
    def _stream(self) -> tf.data.Dataset:
        """All examples one by one, from disk if they are cached there."""
        if self.location != "disk":
            return self._decoded
        folder = _scratch(self)
        self._decoded.save(str(folder / "examples"))
        return tf.data.Dataset.load(str(folder / "examples"))

    def batches(
        self, count: int, batch_size: int, shuffle: tuple[int, int | tf.Tensor] | None, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Batch the first `count` examples, in the order of `shuffle` (seed, epoch): (index int64 (B,), batch)."""
        self.fill()
        if self.location == "memory":
            table = self._table
            order = (
                tf.range(count, dtype=tf.int64) if shuffle is None else stateless_random.permutation(count, *shuffle)
            )
            if shuffle is not None and self.length is not None:
                order = _by_length(order, tf.gather(self.length(table), order), batch_size, *shuffle)
            return (
                tf.data.Dataset.from_tensor_slices(order)
                .batch(batch_size, drop_remainder)
                .map(lambda index: (index, tf.nest.map_structure(lambda values: tf.gather(values, index), table)))
            )
        rows = self._stream.take(count).enumerate()
        if shuffle is not None:
            rows = self.shuffled(rows, count, batch_size, *shuffle)
        return rows.batch(batch_size, drop_remainder)

    def shuffled(
        self, rows: tf.data.Dataset, count: int, batch_size: int, seed: int, epoch: int | tf.Tensor
    ) -> tf.data.Dataset:
        """Shuffle (index, decoded example) by a buffer of limited size."""
        row_bytes = self._example_bytes + _TENSOR * len(tf.nest.flatten(rows.element_spec))
        window = min(count, max(batch_size, _WINDOW // row_bytes))
        key = stateless_random.example_keys(seed, epoch, tf.zeros([1], tf.int64))
        bits = tf.bitcast(stateless_random.bits(key, 0x0D15C, 1), tf.int64)
        if not tf.executing_eagerly():  # with a global seed of 0, TensorFlow compares our seed with 0 in Python
            tf.compat.v1.set_random_seed(1)  # of this graph only
        return rows.shuffle(window, seed=bits[0, 0], reshuffle_each_iteration=False)


def _by_length(order: tf.Tensor, lengths: tf.Tensor, batch_size: int, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """Sort an order (N,) by length, and shuffle its batches; what is left over is the last batch."""
    whole = order.shape[0] // batch_size
    kept = order.shape[0] - whole * batch_size  # of the first examples, which are any
    rest, order = order[:kept], tf.gather(order[kept:], tf.argsort(lengths[kept:], stable=True))
    batches = tf.gather(tf.reshape(order, [whole, batch_size]), stateless_random.permutation(whole, seed, epoch))
    return tf.concat([tf.reshape(batches, [-1]), rest], 0)


def _bytes(leaf: tf.Tensor) -> int:
    values = np.asarray(leaf.numpy())
    return sum(len(text) + 24 for text in values.flat) if leaf.dtype == tf.string else values.nbytes


def _scratch(owner: object) -> Path:
    """Create a folder, new for each process, that exists as long as `owner`; those of killed processes are removed."""
    root = cache_root() / "feeds"
    with storage.preparing(root.parent):  # otherwise another process could remove our folder before we lock it
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            with open(old / ".lock", "w") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue  # its process is running
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        handle = open(folder / ".lock", "w")  # noqa: SIM115 - open, and thereby locked, until the owner is deleted
        fcntl.flock(handle, fcntl.LOCK_EX)

    def drop() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        handle.close()

    weakref.finalize(owner, drop)
    return folder
