"""Recordings as overlapping frames, in Python and in a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def count(samples: int, hop: int) -> int:
    """Return the number of frames of a recording: one every `hop` samples, the first at its first sample."""
    return 1 + samples // hop


def frames(samples: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Return frames whose middles are `hop` samples apart; beyond its ends a recording is silent.

    Args:
        samples: float32 (N,).
        length: Samples of a frame.
        hop: Samples from one frame to the next.

    Returns:
        float32 (1 + N // hop, length).
    """
    padded = np.pad(samples, (length // 2, length - length // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][: count(len(samples), hop)].copy()


def frames_tensor(samples: tf.Tensor, length: int, hop: int) -> tf.Tensor:
    """Return what `frames` does, of (N,) float32, in a graph."""
    import tensorflow as tf

    padded = tf.pad(samples, [[length // 2, length - length // 2]])
    return tf.signal.frame(padded, length, hop)[: 1 + tf.shape(samples)[0] // hop]
