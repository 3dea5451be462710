"""Golden inputs in which every id of a table and every value of a vocabulary occurs, many in one row. NumPy only."""

from __future__ import annotations

import numpy as np

from export.contract import Tensor
from export.contract.sampling import WORDS, fill, shape_of

MAX_CHOICES = 50_000  # ids of a larger table are not all drawn


def choices_of(tensor: Tensor) -> np.ndarray | None:
    """Return the values that an input may hold as numbers (n,) int64, or None if they cannot be listed.

    They are ids of a table, or positions in a vocabulary; of a text the positions of its words.
    """
    if tensor.meaning == "token":
        return np.arange(int(np.min(tensor.low or 0)), int(np.max(tensor.high)) + 1)[:MAX_CHOICES]
    if tensor.vocabulary is None:
        return None
    words = [i for i, value in enumerate(tensor.vocabulary) if tensor.meaning != "text" or _is_word(value)]
    return np.asarray(words[:MAX_CHOICES], np.int64)


def capacity_of(tensor: Tensor) -> int:
    """Return how many different choices one row can hold."""
    if tensor.meaning == "text":
        return WORDS
    if isinstance(tensor.high, tuple):  # each position has a table of its own
        return 1
    return int(np.prod(shape_of(tensor, 1)[1:], dtype=int))


def packed_values(tensor: Tensor, choices: np.ndarray) -> np.ndarray:
    """Return one row for each row of choices; its positions repeat them.

    Args:
        tensor: An input with choices.
        choices: (rows, k), k at most `capacity_of(tensor)`.
    """
    shape = shape_of(tensor, len(choices))
    size = int(np.prod(shape[1:], dtype=int))
    if tensor.meaning == "text":
        words = np.asarray(tensor.vocabulary, object)[choices]
        texts = [" ".join(row[i % len(row)] for i in range(WORDS)).encode() for row in words]
        return fill([text for text in texts for _ in range(size)], shape)
    positions = choices[:, np.arange(size) % choices.shape[1]].reshape(shape)
    if tensor.vocabulary is None:
        if isinstance(tensor.high, tuple):
            low = np.broadcast_to(np.asarray(tensor.low or 0), len(tensor.high)).astype(np.int64)
            positions = low + (positions - low) % (np.asarray(tensor.high).astype(np.int64) + 1 - low)
        return positions.astype(tensor.dtype)
    if tensor.dtype != "string":
        return np.asarray(tensor.vocabulary)[positions].astype(tensor.dtype)
    return fill([tensor.vocabulary[i].encode() for i in positions.ravel()], shape)


def drawn_choices(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return the choices that occur in values of an input; of texts none are recognised."""
    if tensor.meaning == "token":
        return np.unique(values.astype(np.int64))
    if tensor.meaning == "text":
        return np.zeros(0, np.int64)
    known = [value.encode() if isinstance(value, str) else value for value in tensor.vocabulary]
    positions = {value: i for i, value in enumerate(known)}
    return np.asarray(sorted({positions[v] for v in values.ravel().tolist() if v in positions}), np.int64)


def _is_word(value: str | int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not value.startswith("[")
