"""Texts into token ids and windows of them. The vocabulary comes from the training text only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.errors import USAGE, DataError

UNKNOWN = "\ufffd"  # Unicode's replacement character stands for what is not in the vocabulary; its id is 0


def characters(text: str) -> tuple[str, ...]:
    """Return the vocabulary of a text: UNKNOWN first, then its characters by code point."""
    return (UNKNOWN, *sorted(set(text) - {UNKNOWN}))


def encode(text: str | bytes, vocabulary: Sequence[str]) -> np.ndarray:
    """Return the ids of a text's characters, int32 (T,); bytes are read as UTF-8, invalid ones as UNKNOWN."""
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
    table = np.zeros(0x110000, np.int32)
    table[[ord(c) for c in vocabulary]] = np.arange(len(vocabulary), dtype=np.int32)
    points = np.frombuffer(text.encode("utf-32-le", errors="replace"), np.uint32)
    return table[points]


def decode(ids: Sequence[int] | np.ndarray, vocabulary: Sequence[str]) -> str:
    """Return the text of character ids."""
    return "".join(vocabulary[i] for i in ids)


def windows(ids: np.ndarray, length: int) -> tf.data.Dataset:
    """Cut a text into examples of next-token prediction, end to end.

    Args:
        ids: int32 (T,).
        length: Tokens in an example.

    Returns:
        (tokens int32 (length,), the tokens that follow each, int32 (length,)), (T - 1) // length of them.

    Raises:
        DataError: The text is shorter than one window.
    """
    count = (len(ids) - 1) // length
    if count < 1:
        raise DataError(f"a text of {len(ids)} tokens has no window of {length}; give more text", USAGE)
    x = ids[: count * length].reshape(count, length)
    y = ids[1 : count * length + 1].reshape(count, length)
    return tf.data.Dataset.from_tensor_slices((x, y))
