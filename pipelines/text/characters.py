"""Characters as ids: a vocabulary in code point order, encoding and decoding in NumPy and in pure TensorFlow.

The order makes encoding a binary search, so that a graph needs no look-up table and no asset. Characters that are not
in the vocabulary become U+FFFD, the replacement character of Unicode, which every vocabulary contains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoobase.errors import USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

UNKNOWN = "\ufffd"
BLOCK = 2**20  # characters that are encoded at once, in several times the memory of their ids


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the characters of the texts and U+FFFD, in code point order; use the training texts only."""
    return tuple(sorted(set().union(UNKNOWN, *texts)))


def encode(text: str | bytes, vocabulary: Sequence[str]) -> np.ndarray:
    """Turn a text into ids.

    Args:
        text: Characters, or UTF-8 whose invalid sequences become U+FFFD.
        vocabulary: The result of `vocabulary`.

    Returns:
        int32 (number of characters,), in 0..len(vocabulary)-1.

    Example:
        >>> encode("cab", vocabulary(["abc"])).tolist()
        [2, 0, 1]
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    points = _points(vocabulary)
    ids = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int32)
    for start in range(0, len(ids), BLOCK):
        code_points = ids[start : start + BLOCK]
        positions = np.minimum(np.searchsorted(points, code_points), len(points) - 1)
        code_points[:] = np.where(points[positions] == code_points, positions, vocabulary.index(UNKNOWN))
    return ids


def decode(ids: Iterable[int], vocabulary: Sequence[str]) -> str:
    """Turn ids back into text.

    Raises:
        DataError: An id is outside the vocabulary.
    """
    ids = np.asarray(ids, np.int64).reshape(-1)
    if ids.size and not 0 <= ids.min() <= ids.max() < len(vocabulary):
        raise DataError(
            f"ids go from {ids.min()} to {ids.max()}, but the vocabulary is 0..{len(vocabulary) - 1}", USAGE
        )
    return "".join(vocabulary[i] for i in ids)


def encode_tensor(text: tf.Tensor, vocabulary: Sequence[str]) -> tf.Tensor | tf.RaggedTensor:
    """Turn texts into the ids that `encode` returns, in a graph.

    Args:
        text: String scalar or (B,), UTF-8.
        vocabulary: The result of `vocabulary`.

    Returns:
        int32 (number of characters,), or ragged (B, None) for a batch.
    """
    import tensorflow as tf

    code_points = tf.strings.unicode_decode(text, "UTF-8", errors="replace", replace_control_characters=False)
    if isinstance(code_points, tf.RaggedTensor):
        return code_points.with_flat_values(_search(code_points.flat_values, vocabulary))
    return _search(code_points, vocabulary)


def decode_tensor(ids: tf.Tensor, vocabulary: Sequence[str]) -> tf.Tensor:
    """Turn ids, integer (..., L), into strings (...), in a graph; ids must be inside the vocabulary."""
    import tensorflow as tf

    return tf.strings.unicode_encode(tf.gather(_points(vocabulary), ids), "UTF-8")


def windows(ids: np.ndarray, length: int, stride: int | None = None) -> tf.data.Dataset:
    """Cut a sequence into examples of next-token prediction.

    Args:
        ids: Integer (N,).
        length: Tokens per example.
        stride: Tokens from one example to the next; by default `length`, so that each token is predicted once.

    Returns:
        Dataset of (x, y), int32 (length,) each, where y is x one token later; 1 + (N - length - 1) // stride examples.

    Raises:
        DataError: The sequence is shorter than one example.
    """
    import tensorflow as tf

    ids = np.asarray(ids, np.int32)
    if len(ids) <= length:
        raise DataError(f"{len(ids)} tokens are too few for windows of {length} and the token after them", USAGE)
    rows = np.lib.stride_tricks.sliding_window_view(ids, length + 1)[:: stride or length]
    return tf.data.Dataset.from_tensor_slices((rows[:, :-1], rows[:, 1:]))


def streams(ids: np.ndarray, length: int, batch_size: int) -> tf.data.Dataset:
    """Cut a sequence into parallel streams, so that row b of each batch continues row b of the previous batch.

    Args:
        ids: Integer (N,).
        length: Tokens per example.
        batch_size: Number of streams.

    Returns:
        Dataset of (x, y) as in `windows`, in the order of batches; tokens of an incomplete last batch are dropped.

    Raises:
        DataError: The sequence is shorter than one batch.
    """
    import tensorflow as tf

    ids = np.asarray(ids, np.int32)
    steps = (len(ids) - 1) // (length * batch_size)
    if steps < 1:
        raise DataError(f"{len(ids)} tokens are too few for a batch of {batch_size} windows of {length}", USAGE)

    def rows(offset: int) -> np.ndarray:  # (batch_size * steps, length), batch by batch
        tokens = ids[offset : offset + batch_size * steps * length].reshape(batch_size, steps, length)
        return tokens.transpose(1, 0, 2).reshape(-1, length)

    return tf.data.Dataset.from_tensor_slices((rows(0), rows(1)))


def _points(vocabulary: Sequence[str]) -> np.ndarray:
    return np.array([ord(character) for character in vocabulary], np.int32)


def _search(code_points: tf.Tensor, vocabulary: Sequence[str]) -> tf.Tensor:
    import tensorflow as tf

    points = tf.constant(_points(vocabulary))
    positions = tf.minimum(tf.searchsorted(points, code_points), len(vocabulary) - 1)
    return tf.where(tf.gather(points, positions) == code_points, positions, vocabulary.index(UNKNOWN))
