"""Each worker of a training reads its own files of a folder of shards, and no others.

The order of the examples depends on the number of workers then, and an epoch ends when the worker with the fewest
examples has no whole batch left.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from pipelines.feeding import Batch, Feed, Store
from pipelines.shards import reading
from zoobase.errors import USAGE, DataError


@dataclass(frozen=True)
class ShardsFeed(Feed):
    """A feed of the examples of some of the files; `count` is that of the worker with the fewest."""

    # index of the first example of each file, among those of this worker and among all
    starts: tuple[tuple[int, ...], tuple[int, ...]] = field(default=((), ()), repr=False)

    def steps(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Return the number of batches per epoch, which is that of all workers."""
        return self.count // -(-batch_size * len(self.own) // self.parts)

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
        first, last = (batch_size * part // self.parts for part in (self.own.start, self.own.stop))
        local, everywhere = (tf.constant(values, tf.int64) for values in self.starts)

        def of_all(index: tf.Tensor, batch: Batch) -> tuple[tf.Tensor, Batch]:
            file = tf.searchsorted(local, index, side="right") - 1
            return index - tf.gather(local, file) + tf.gather(everywhere, file), batch

        size = max(1, last - first)
        batches = self.store.batches(self.store.count, size, (seed, epoch) if shuffled else None, True)
        batches = batches.take(self.steps(batch_size)).skip(skip).map(of_all)
        alone = replace(self, parts=len(self.own), own=range(len(self.own)))
        if alone.parts > 1:
            batches = batches.flat_map(lambda *batch: alone._own_parts(batch))
        return self._augmented(batches, seed, epoch)


def share(
    feed: Feed, split: tf.data.Dataset, folder: str, worker: int, workers: int, cache_dir: str | None = None
) -> Feed:
    """Return a feed in which a worker reads every `workers`-th file of the training split."""
    # `feed` itself if it does not take the examples of the split one by one, or has an order of its own.
    if feed.store.examples is not split or feed.ordered:
        return feed
    shards = reading.files(folder, "train")
    if len(shards) < workers:
        raise DataError(
            f"{folder} has {len(shards)} files of training examples, fewer than {workers} workers: write more, "
            "python -m pipelines shard --shards N",
            USAGE,
        )
    totals = [sum(shard.examples for shard in shards[i::workers]) for i in range(workers)]
    own = shards[worker::workers]
    before: dict[str, Any] = {}
    for number, shard in enumerate(shards):
        before[shard.file] = sum(other.examples for other in shards[:number])
    local = tuple(sum(other.examples for other in own[:number]) for number in range(len(own)))
    store = Store(reading.examples_of(folder, own, cache_dir), feed.store.decode, totals[worker], feed.store.requested)
    starts = (local, tuple(before[shard.file] for shard in own))
    return ShardsFeed(min(totals), store, feed.augment, starts=starts)
