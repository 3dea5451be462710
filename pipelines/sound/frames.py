"""Parts of recordings: overlapping frames, in Python and in a graph, and the loudest part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def count(samples: int, hop: int) -> int:
    """Return the number of frames of a recording: one every `hop` samples, the first at its first sample."""
    return 1 + samples // hop


def frames(samples: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Return frames (1 + N // hop, length), `hop` samples from middle to middle, silent beyond the recording."""
    padded = np.pad(samples, (length // 2, length - length // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][: count(len(samples), hop)].copy()


def frames_tensor(samples: tf.Tensor, length: int, hop: int) -> tf.Tensor:
    """Return what `frames` does, of (N,) float32, in a graph."""
    import tensorflow as tf

    padded = tf.pad(samples, [[length // 2, length - length // 2]])
    return tf.signal.frame(padded, length, hop)[: 1 + tf.shape(samples)[0] // hop]


def loudest(samples: np.ndarray, length: int) -> np.ndarray:
    """Return the part (length,) of a recording with the most energy, whose middle is in the middle where it can be.

    A shorter recording is silent before its start and after its end.

    Example:
        >>> loudest(np.array([0, 0, 0, 1, 1, 0, 0], np.float32), 4).tolist()
        [0.0, 1.0, 1.0, 0.0]
        >>> loudest(np.ones(2, np.float32), 4).tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    missing = length - len(samples)
    if missing >= 0:
        return np.pad(samples, (missing // 2, missing - missing // 2)).astype(np.float32)
    power = samples.astype(np.float64) ** 2
    sums = np.concatenate([[0], np.cumsum(power)])
    start = int(np.argmax(sums[length:] - sums[:-length]))
    energy = power[start : start + length]
    if total := energy.sum():  # a word may be at the end of the part that was found
        start += round(float(energy @ np.arange(length)) / total - (length - 1) / 2)
    start = min(max(start, 0), -missing)
    return samples[start : start + length].astype(np.float32)
