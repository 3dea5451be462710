"""Simple methods that a model has to beat: PCA and a linear probe for images, n-grams, xz and TF-IDF for texts."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np


def fit_pca(images: np.ndarray, size: int) -> Any:
    """Fit principal components, the best linear autoencoder of their size (Bourlard, Kamp 1988).

    Args:
        images: (N, H, W, C) in [0, 255].
        size: Numbers in the code; fewer where the images do not have as many.

    Returns:
        scikit-learn's PCA, on pixels in [0, 1].
    """
    from sklearn.decomposition import PCA

    flat = _flat(images)
    return PCA(min(size, *flat.shape), svd_solver="covariance_eigh").fit(flat)


def encode(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return the codes (N, size) of images (N, H, W, C) in [0, 255]."""
    return pca.transform(_flat(images))


def reconstruct(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) float32 in [0, 255] from their codes alone."""
    pixels = pca.inverse_transform(encode(pca, images)).reshape(images.shape)
    return np.clip(255.0 * pixels, 0.0, 255.0).astype(np.float32)


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, iterations: int = 300
) -> float:
    """Return the test accuracy of logistic regression on standardised codes (Alain, Bengio 2016, arXiv:1610.01644).

    Args:
        codes: (N, size), to learn from.
        labels: (N,) integer.
        test_codes: (M, size).
        test_labels: (M,) integer.
        iterations: At most, of the solver.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=iterations))
    return float(probe.fit(codes, labels).score(test_codes, test_labels))


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


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
