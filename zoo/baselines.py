"""What a learned code must beat, and what it is worth: PCA of the same size, and a linear probe."""

from __future__ import annotations

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
