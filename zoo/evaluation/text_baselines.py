"""Baselines for texts: n-grams, xz and TF-IDF."""

import lzma
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_ORDER = 9  # of the n-gram models that are compared on validation; longer n-grams of characters are rarely better


def best_ngram(
    train: np.ndarray, validation: np.ndarray, test: np.ndarray, size: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the order of the best n-gram model on validation, and its probabilities of validation and test tokens."""
    longest = min(MAX_ORDER, int(63 / math.log2(max(2, size))), len(train), len(validation), len(test))
    models = kneser_ney(train, validation, size, range(2, longest + 1))
    order = min(models, key=lambda n: -np.log2(models[n]).mean())
    return order, models[order], kneser_ney(train, test, size, [order])[order]


def kneser_ney(train: np.ndarray, test: np.ndarray, size: int, orders: Sequence[int]) -> dict[int, np.ndarray]:
    """Return {order: float64 (M,)}: the probability of each test token by modified Kneser-Ney smoothing."""
    # Chen, Goodman 1999, doi:10.1006/csla.1999.0128; interpolated down to the uniform distribution. Ids are in
    # 0..size-1, and `size ** max(orders)` below 2 ** 63. The first tokens have the context that there is.
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
    """Return float64 (M, orders of `CACHE`): what n-grams of the text before a token give it, without smoothing."""
    # Kuhn, De Mori 1990, doi:10.1109/34.56193. `fallback` (M,) is for tokens whose context did not occur before.
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
    """Return the weights (K,) of a mixture of (M, K) with the highest likelihood, by expectation maximisation."""
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
    """Return the discounts of the counts 0, 1, 2, and 3 or more (Chen, Goodman 1999, equation 26)."""
    # The equation needs n-grams that occur once to four times; without them, the discounts are KenLM's fallback.
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
    """Return the bits per character of `xz -9` for a text that follows a training text (b"" for none)."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]

    def bits(data: bytes) -> int:
        return 8 * len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters)) if data else 0

    return (bits(train + test) - bits(train)) / characters


SHORT_TEXTS = 5_000_000  # characters of a training split of which n-grams of characters take seconds, not gigabytes


def fit_tfidf(texts: Sequence[str], labels: Sequence[int]) -> Any:
    """Fit a linear SVM to TF-IDF of words, pairs of words and, of short texts, 2 to 6 characters."""
    # Wang, Manning 2012, https://aclanthology.org/P12-2018; sublinear term frequencies by validation of movie_reviews.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    features = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
    if sum(map(len, texts)) <= SHORT_TEXTS:
        features.append(TfidfVectorizer(analyzer="char", ngram_range=(2, 6), sublinear_tf=True))
    return make_pipeline(make_union(*features), LinearSVC(random_state=0)).fit(texts, labels)
