"""How examples reach a model: decode > cache > shuffle by epoch > batch > augment > prefetch.

The same seed gives the same bytes whatever the parallelism: the order of an epoch is a function of (seed, epoch), and
augmentation of (seed, epoch, example index). An epoch can therefore be entered anywhere, which is what a resume needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from pipelines import keyed, store
from pipelines.errors import USAGE, DataError

Batch = Any  # what `decode` returns: a tensor or a (nested) tuple of tensors, with a leading batch dimension here
Augment = Callable[[Batch, tf.Tensor], Batch]


def feed(
    examples: tf.data.Dataset,
    *,
    decode: Callable[[Any], Any] | None = None,
    count: int | None = None,
    augment: Augment | None = None,
    cache: str = "auto",
    ordered: bool = False,
) -> Feed:
    """Turn a split into something that can be fed to a model, epoch after epoch.

    Args:
        examples: Finite ordered dataset, such as a split of a `Dataset`.
        decode: One example -> (x, y) or (x, y, weight); a pure TensorFlow function without randomness. All examples
            must come out with the same shapes.
        count: Number of examples, where `examples.cardinality()` does not know it.
        augment: (batch, keys int64 (B, 3)) -> batch; keyed by example, see `pipelines.augment`.
        cache: Where decoded examples are kept: "memory", "disk", "none", or "auto": in memory up to 1 GiB, else on
            disk. The order of an epoch is not the same in memory and on disk.
        ordered: Never shuffle, where the order means something: a state that is carried from batch to batch.

    Returns:
        The feed; nothing is read before its first batch is asked for.

    Raises:
        DataError: There are no examples, or infinitely many.
    """
    if cache not in store.PLACES:
        raise DataError(f'cache "{cache}" is not one of {", ".join(store.PLACES)}', USAGE)
    if count is None:
        count = int(examples.cardinality())
        if count == tf.data.UNKNOWN_CARDINALITY:
            count = int(examples.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))
    if count <= 0:
        raise DataError("there is nothing to feed: the dataset is empty or infinite", USAGE)
    decoded = examples if decode is None else examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return Feed(count, store.Store(decoded, count, cache), augment, ordered)


@dataclass(frozen=True)
class Feed:
    """Decoded examples in a fixed order, with what turns them into batches. Made by `feed`.

    Attributes:
        count: Number of examples.
        store: Where the decoded examples are kept.
        augment: Applied to whole batches, or None.
        ordered: Whether epochs keep the order of the examples.
    """

    count: int
    store: store.Store = field(repr=False)
    augment: Augment | None = None
    ordered: bool = False

    def steps(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Return the number of batches in one pass."""
        return self.count // batch_size if drop_remainder else -(-self.count // batch_size)

    def take(self, n: int) -> Feed:
        """Return a feed of the first n examples (of all, if there are fewer), which shares the cache of this one."""
        return replace(self, count=min(n, self.count))

    def batches(self, batch_size: int, *, seed: int = 0, epoch: int = 0, augmented: bool = True) -> tf.data.Dataset:
        """Return one pass in order.

        Args:
            batch_size: Examples per batch.
            seed: Decides, with the epoch, the augmentation.
            epoch: See `seed`; `augment` gets the keys (seed, epoch, index).
            augmented: Whether the feed's augmentation is applied.
        """
        feed = self if augmented else replace(self, augment=None)
        one = feed._pass(batch_size, seed, epoch, shuffled=False, drop_remainder=False)
        return one.apply(tf.data.experimental.assert_cardinality(self.steps(batch_size))).prefetch(tf.data.AUTOTUNE)

    def epochs(
        self, batch_size: int, *, seed: int, start: int = 0, stop: int, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Return the epochs start..stop-1 back to back, each in its own order.

        Args:
            batch_size: Examples per batch; the last batch of an epoch may be smaller.
            seed: Decides, with the epoch, the order and the augmentation.
            start: First epoch; epoch 3 is the same whether or not epochs 0 to 2 came before it.
            stop: One past the last epoch.
            drop_remainder: Drop the smaller last batch of each epoch.

        Returns:
            `steps(batch_size, drop_remainder)` batches an epoch.
        """
        total = (stop - start) * self.steps(batch_size, drop_remainder)
        passes = tf.data.Dataset.range(start, stop).flat_map(
            lambda epoch: self._pass(batch_size, seed, epoch, shuffled=True, drop_remainder=drop_remainder)
        )
        return passes.apply(tf.data.experimental.assert_cardinality(total)).prefetch(tf.data.AUTOTUNE)

    def _pass(
        self, batch_size: int, seed: int, epoch: int | tf.Tensor, *, shuffled: bool, drop_remainder: bool
    ) -> tf.data.Dataset:
        """One pass over the first `count` examples: batches of indices and examples, then augmented by their keys."""

        def finish(index: tf.Tensor, batch: Batch) -> Batch:
            return self.augment(batch, keyed.example_keys(seed, epoch, index)) if self.augment else batch

        indexed = self.store.batches(
            self.count, batch_size, (seed, epoch) if shuffled and not self.ordered else None, drop_remainder
        )
        return indexed.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
