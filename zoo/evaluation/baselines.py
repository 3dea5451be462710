"""Baselines: PCA and a linear probe for images; n-grams, xz and TF-IDF for texts."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np


def fit_pca(images: np.ndarray, size: int) -> Any:
    """Fit principal components, the optimal linear autoencoder of a given code size (Bourlard, Kamp 1988).

    Args:
        images: (N, H, W, C) in [0, 255].
        size: Dimensions of the code; at most the number of images and of pixels.

    Returns:
        scikit-learn's PCA of pixels in [0, 1].
    """
    from sklearn.decomposition import PCA

    flat = _flat(images)
    return PCA(min(size, *flat.shape), svd_solver="covariance_eigh").fit(flat)


def encode(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return the codes (N, size) of images (N, H, W, C) in [0, 255]."""
    return pca.transform(_flat(images))


def reconstruct(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return the reconstructions (N, H, W, C) float32 in [0, 255] of images from their codes."""
    pixels = pca.inverse_transform(encode(pca, images)).reshape(images.shape)
    return np.clip(255.0 * pixels, 0.0, 255.0).astype(np.float32)


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, iterations: int = 300
) -> float:
    """Return the test accuracy of logistic regression on standardised codes (Alain, Bengio 2016, arXiv:1610.01644).

    Args:
        codes: Training codes (N, size).
        labels: Training labels (N,), integer.
        test_codes: Test codes (M, size).
        test_labels: Test labels (M,), integer.
        iterations: Largest number of iterations of the solver.
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
        train: Training ids (N,), integers in 0..size-1.
        test: Test ids (M,), integers in 0..size-1.
        size: Size of the vocabulary; `size ** (order + 1)` must be below 2 ** 63.
        order: Number of context tokens.
    """
    probability = np.full(len(test) - order, 1.0 / size)
    for k in range(order + 1):
        grams, count = np.unique(_grams(train, k + 1, size), return_counts=True)
        contexts, first = np.unique(grams // size, return_index=True)
        total, types = np.add.reduceat(count, first), np.diff(np.append(first, len(grams)))
        queries = _grams(test, k + 1, size)[order - k :]
        matches = _look_up(queries, grams, count)
        n, t = _look_up(queries // size, contexts, total), _look_up(queries // size, contexts, types)
        probability = np.where(n > 0, (matches + t * probability) / np.maximum(n + t, 1), probability)
    return float(-np.log2(probability).mean())


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


def tfidf_accuracy(train: tuple[Sequence[str], Sequence[int]], test: tuple[Sequence[str], Sequence[int]]) -> float:
    """Return the accuracy of a logistic regression on TF-IDF of words, both with scikit-learn's defaults.

    Args:
        train: Training texts and labels.
        test: Test texts and labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    return float(classifier.fit(*train).score(*test))
