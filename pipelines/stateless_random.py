"""Stateless random numbers: functions of the key of an example alone, not of its batch or thread.

A key is a row of integers, such as (seed, epoch, example index). Keys are absorbed by SplitMix64 (Steele, Lea, Flood
2014, "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195; the finaliser is Stafford's Mix13),
which then gives one stream per key. Integer arithmetic and table look-up give the same bits on every machine;
`tf.random.stateless_*` would give an example different numbers in another batch.
"""

import functools
import statistics

import numpy as np
import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15


def bits(keys: tf.Tensor, stream: int, count: int | tf.Tensor) -> tf.Tensor:
    """Return random 64-bit words uint64 (B, count), for keys integer (B, K); each use has a `stream` id of its own."""
    keys = tf.bitcast(tf.cast(keys, tf.int64), tf.uint64)
    state = tf.fill(tf.shape(keys)[:1], _u64(stream))
    for column in tf.unstack(keys, axis=1):
        state = _mix(state + _u64(_GAMMA)) ^ column
    state = _mix(state + _u64(_GAMMA))
    offsets = tf.bitcast(tf.range(1, tf.cast(count, tf.int64) + 1), tf.uint64) * _u64(_GAMMA)
    return _mix(state[:, None] + offsets)


def _mix(z: tf.Tensor) -> tf.Tensor:
    z = (z ^ tf.bitwise.right_shift(z, _u64(30))) * _u64(0xBF58476D1CE4E5B9)
    z = (z ^ tf.bitwise.right_shift(z, _u64(27))) * _u64(0x94D049BB133111EB)
    return z ^ tf.bitwise.right_shift(z, _u64(31))


def _u64(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def uniform(keys: tf.Tensor, stream: int, count: int | tf.Tensor) -> tf.Tensor:
    """Return uniform numbers in [0, 1): float32 (B, count), multiples of 2**-24. Arguments as in `bits`."""
    return tf.cast(tf.bitwise.right_shift(bits(keys, stream, count), _u64(40)), tf.float32) * 2.0**-24


def integers(keys: tf.Tensor, stream: int, count: int, low: int | tf.Tensor, high: int | tf.Tensor) -> tf.Tensor:
    """Return integers from low to high (both included, each a number or (count,)): int32 (B, count); else as `bits`."""
    words = tf.bitcast(tf.bitwise.right_shift(bits(keys, stream, count), _u64(33)), tf.int64)
    return low + tf.cast(words % tf.cast(high - low + 1, tf.int64), tf.int32)  # 31 bits: the bias is below 1e-6


def normal(keys: tf.Tensor, stream: int, count: int | tf.Tensor) -> tf.Tensor:
    """Return standard normal numbers: float32 (B, count), of 65,536 equally likely quantiles."""
    # A table is used because the last bits of logarithms and cosines depend on the vectorisation of a batch.
    words = tf.bitcast(bits(keys, stream, -(-count // 4)), tf.uint16)  # (B, ceil(count / 4), 4)
    ranks = tf.cast(tf.reshape(words, [tf.shape(words)[0], -1])[:, :count], tf.int32)
    return tf.gather(_quantiles(), ranks)


@functools.cache
def _quantiles() -> np.ndarray:
    inverse = statistics.NormalDist().inv_cdf
    return np.array([inverse((rank + 0.5) / 65536) for rank in range(65536)], np.float32)


def permutation(count: int, seed: int | tf.Tensor, epoch: int | tf.Tensor) -> tf.Tensor:
    """Return the order of an epoch: int64 (count,), a permutation of 0..count-1 determined by (seed, epoch)."""
    index = tf.range(count, dtype=tf.int64)
    keys = example_keys(seed, epoch, index)
    return tf.cast(tf.argsort(tf.bitcast(bits(keys, 0x5EED, 1)[:, 0], tf.int64), direction="DESCENDING"), tf.int64)


def example_keys(seed: int | tf.Tensor, epoch: int | tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return the keys of examples: int64 (B, 3) of (seed, epoch, index), for index int64 (B,)."""
    seed, epoch = tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)
    return tf.stack([tf.broadcast_to(seed, tf.shape(index)), tf.broadcast_to(epoch, tf.shape(index)), index], axis=1)
