"""Simple methods that a model has to beat, so that nobody fools himself."""

from __future__ import annotations

import lzma
from collections.abc import Sequence

import numpy as np


def ngram_bits(train: np.ndarray, test: np.ndarray, size: int, order: int = 5) -> float:
    """Return the bits per token of an n-gram model, interpolated by Witten and Bell (1991, doi:10.1109/18.87000).

    Args:
        train: Integer (N,), ids in 0..size-1.
        test: Integer (M,), likewise.
        size: Of the vocabulary; `size ** (order + 1)` must be below 2 ** 63.
        order: Tokens of context.
    """
    probability = np.full(len(test) - order, 1.0 / size)
    for k in range(order + 1):
        seen, count = np.unique(_grams(train, k + 1, size), return_counts=True)
        contexts, first = np.unique(seen // size, return_index=True)
        total, kinds = np.add.reduceat(count, first), np.diff(np.append(first, len(seen)))
        asked = _grams(test, k + 1, size)[order - k :]
        here = _look_up(asked, seen, count)
        n, t = _look_up(asked // size, contexts, total), _look_up(asked // size, contexts, kinds)
        probability = np.where(n > 0, (here + t * probability) / np.maximum(n + t, 1), probability)
    return float(-np.log2(probability).mean())


def _grams(ids: np.ndarray, length: int, size: int) -> np.ndarray:
    """Return each run of `length` ids as one number: int64 (len(ids) - length + 1,)."""
    numbers = np.zeros(len(ids) - length + 1, np.int64)
    for i in range(length):
        numbers = numbers * size + ids[i : len(ids) - length + 1 + i]
    return numbers


def _look_up(wanted: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def xz_bits(train: bytes, test: bytes, characters: int) -> float:
    """Return the bits per character that `xz -9` needs for a text after having seen another.

    Args:
        train: What it has seen; b"" for nothing.
        test: What it compresses.
        characters: Of the test text.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]

    def bits(data: bytes) -> int:
        return 8 * len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters)) if data else 0

    return (bits(train + test) - bits(train)) / characters


def tfidf_accuracy(train: tuple[Sequence[str], Sequence[int]], test: tuple[Sequence[str], Sequence[int]]) -> float:
    """Return the accuracy of a logistic regression on TF-IDF of words, both with scikit-learn's defaults.

    Args:
        train: Texts and labels.
        test: Texts and labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    judge = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    return float(judge.fit(*train).score(*test))
