"""Batches from a tf.data service: other processes or machines read and decode the examples of shards.

Every example is in each epoch once, with the augmentation that it has without the service: it depends on (seed, epoch,
index), and is computed where the model is trained. Which examples share a batch, and the order of the batches, depend
on the speed of the workers.
"""

from __future__ import annotations

import socket
import warnings
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow.data.experimental import service

from pipelines.feeding import Batch, Feed, Store
from pipelines.shards import copies, reading
from zoobase.errors import MISSING, USAGE, DataError

_SECONDS = 5.0  # for a connection


class ServedStore(Store):
    """The examples of a split of shards, which the workers of a service read, decode and shuffle, without a cache."""

    def __init__(self, store: Store, rows: tf.data.Dataset, address: str) -> None:
        super().__init__(store.examples, store.decode, store.count, "none")
        self._rows, self._address = rows, address

    def batches(
        self, count: int, batch_size: int, shuffle: tuple[int, int | tf.Tensor] | None, drop_remainder: bool
    ) -> tf.data.Dataset:
        """See `Store.batches`; the order is that in which the workers finish."""

        def decode(index: tf.Tensor, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, Batch]:
            return index, example if self.decode is None else self.decode(example)

        self.fill()
        rows = self._rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        if shuffle is not None:
            rows = self.shuffled(rows, count, batch_size, *shuffle)
        batches = rows.batch(batch_size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of TensorFlow, about options that are not set here
            # a worker takes the next file when it has finished one
            batches = batches.apply(service.distribute(service.ShardingPolicy.DYNAMIC, f"grpc://{self._address}"))
        return batches.rebatch(batch_size, drop_remainder)  # the last batch of each worker is smaller


def served(feed: Feed, split: tf.data.Dataset, folder: str, address: str) -> Feed:
    """Return a feed of the training split of shards, which the service at HOST:PORT reads and decodes."""
    if feed.store.examples is not split or feed.ordered:
        raise DataError(
            "a data service cannot feed this model, which does not take the examples of its shards one by one", USAGE
        )
    if copies.is_needed(folder):
        raise DataError(f"the workers of a data service cannot read {folder}: copy the folder, or mount it", USAGE)
    check(address)
    return replace(feed, store=ServedStore(feed.store, reading.indexed(folder, "train"), address))


def check(address: str) -> None:
    """Raise DataError if nothing answers at an address HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise DataError(f"the address of a data service is HOST:PORT, not {address!r}", USAGE)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except OSError as error:
        raise DataError(
            f"no data service answers at {address} ({error.strerror or error}); start one with python -m "
            "pipelines serve-data",
            MISSING,
        ) from error


def start(host: str, port: int, dispatcher: str | None = None) -> tuple[str, list[Any]]:
    """Start a dispatcher and a worker, or a worker of a dispatcher elsewhere; return its address, and the servers."""
    servers: list[Any] = []
    if dispatcher is None:
        try:
            servers.append(service.DispatchServer(service.DispatcherConfig(port=port)))
        except tf.errors.OpError as error:
            raise DataError(f"port {port} cannot be used: {error.message}", USAGE) from error
        dispatcher, port = f"{host}:{servers[0].target.rpartition(':')[2]}", 0
    check(dispatcher)
    config = service.WorkerConfig(dispatcher, worker_address=f"{host}:%port%", port=port)
    servers.append(service.WorkerServer(config))
    return dispatcher, servers
