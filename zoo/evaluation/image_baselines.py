"""Baselines for images: PCA, a Gaussian mixture, a linear probe, a support vector classifier."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def fit_pca(images: np.ndarray, size: int) -> Any:
    """Fit scikit-learn's PCA to pixels in [0, 1]: the optimal linear autoencoder (Bourlard, Kamp 1988)."""
    from sklearn.decomposition import PCA

    rows = flat(images)
    return PCA(min(size, *rows.shape), svd_solver="covariance_eigh").fit(rows)


def encode(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return the codes (N, size) of images (N, H, W, C) in [0, 255]."""
    return pca.transform(flat(images))


def reconstruct(pca: Any, images: np.ndarray) -> np.ndarray:
    """Return the reconstructions (N, H, W, C) float32 in [0, 255] of images from their codes."""
    pixels = pca.inverse_transform(encode(pca, images)).reshape(images.shape)
    return np.clip(255.0 * pixels, 0.0, 255.0).astype(np.float32)


MIXTURE_IMAGES = 10_000  # images to which `sample_mixture` fits at most
MIXTURE_SIZE = 100  # principal components of it
MIXTURE_COMPONENTS = 30  # Gaussians, fewer with fewer than 100 images for each


def sample_mixture(images: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return float32 (count, H, W, C) in [0, 255] of a Gaussian mixture of principal components."""
    # After Richardson, Weiss 2018, arXiv:1805.12462, who have factor analysers in place of one projection.
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    rows = flat(images).astype(np.float64)
    # not `fit_pca`, whose exact solver needs the covariance of all pixels: 1 GB for colour images of 64x64
    pca = PCA(min(MIXTURE_SIZE, *rows.shape), svd_solver="randomized", random_state=seed).fit(rows)
    components = min(MIXTURE_COMPONENTS, 1 + len(rows) // 100)
    mixture = GaussianMixture(components, reg_covar=1e-4, max_iter=50, random_state=seed).fit(pca.transform(rows))
    codes = np.random.default_rng(seed).permutation(mixture.sample(count)[0])  # they come sorted by component
    return np.clip(255.0 * pca.inverse_transform(codes), 0, 255).reshape(-1, *images.shape[1:]).astype(np.float32)


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, iterations: int = 300
) -> float:
    """Return the test accuracy of logistic regression on standardised codes (Alain, Bengio 2016, arXiv:1610.01644)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=iterations)).fit(codes, labels)
    return float(model.score(test_codes, test_labels))


def best_svc(train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray]) -> Any:
    """Return an SVC (Cortes, Vapnik 1995) with an RBF kernel; C is the best on validation of 1, 3, 10, 30."""
    from sklearn.svm import SVC

    return max((SVC(C=c).fit(*train) for c in (1, 3, 10, 30)), key=lambda model: model.score(*validation))


def flat(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) in [0, 255] as rows (N, H*W*C) in [0, 1], float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def pairs_of(batches: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs (N, ...) and the targets (N, ...) of all batches."""
    inputs, targets = zip(*((np.asarray(x), np.asarray(y)) for x, y, *_ in batches), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


NEIGHBOURS = (1, 2, 4, 8, 16, 32)  # how many targets are averaged
RIDGE = (1.0, 10.0, 100.0, 1000.0)  # penalties of ridge regression


def translations(
    train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], inputs: np.ndarray
) -> dict[str, np.ndarray]:
    """Return what ridge regression of pixels, and the mean of nearest training inputs, make of images."""
    # float32 (M, H, W, C) in [0, 255] by baseline; penalty and neighbours have the lowest squared error on validation
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import NearestNeighbors

    (x, y), (validation_x, validation_y) = ([flat(images) for images in pair] for pair in (train, validation))
    neighbours = NearestNeighbors(n_neighbors=min(max(NEIGHBOURS), len(x))).fit(x)
    rows = flat(inputs)
    near, validation_near = (neighbours.kneighbors(r, return_distance=False) for r in (rows, validation_x))

    def error(predicted: np.ndarray) -> float:
        return float(np.mean((predicted - validation_y) ** 2))

    def images(pixels: np.ndarray) -> np.ndarray:
        return np.clip(255.0 * pixels, 0.0, 255.0).astype(np.float32).reshape(-1, *train[1].shape[1:])

    ridge = min((Ridge(penalty).fit(x, y) for penalty in RIDGE), key=lambda model: error(model.predict(validation_x)))
    count = min(NEIGHBOURS, key=lambda k: error(y[validation_near[:, :k]].mean(axis=1)))
    return {
        "ridge regression of pixels": images(ridge.predict(rows)),
        "mean of the nearest": images(y[near[:, :count]].mean(axis=1)),
    }
