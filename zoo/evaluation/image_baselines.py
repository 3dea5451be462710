"""Baselines for images: PCA, a Gaussian mixture, a linear probe, a support vector classifier, one of pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pipelines.feeding import Feed


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


def pixels_and_labels(batches: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, H*W*C) in [0, 1] and labels (N,) of batches of (images, labels)."""
    images, labels = zip(*((np.asarray(x), np.asarray(y)) for x, y, *_ in batches), strict=True)
    return flat(np.concatenate(images)), np.concatenate(labels)


def best_svc(train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray]) -> Any:
    """Return an SVC (Cortes, Vapnik 1995) with an RBF kernel; C is the best on validation of 1, 3, 10, 30."""
    from sklearn.svm import SVC

    return max((SVC(C=c).fit(*train) for c in (1, 3, 10, 30)), key=lambda model: model.score(*validation))


def flat(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) in [0, 255] as rows (N, H*W*C) in [0, 1], float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def image_pairs(batches: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and the targets (N, H, W, C) of batches of pairs of images."""
    inputs, targets = zip(*((np.asarray(x), np.asarray(y)) for x, y, *_ in batches), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


NEIGHBOURS = (1, 2, 4, 8, 16, 32)  # how many targets are averaged
RIDGE = (1.0, 10.0, 100.0, 1000.0)  # penalties of ridge regression


def translations(
    train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], inputs: np.ndarray
) -> dict[str, np.ndarray]:
    """Return what ridge regression of pixels, and the mean of nearest training inputs, make of images."""
    # float32 (M, H, W, C) in [0, 255] by baseline. The penalty and the number of neighbours have the lowest mean
    # squared error on validation.
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


PIXEL_IMAGES = 200  # images of which `fit_pixels` draws pixels
PIXELS = 100  # pixels that it draws of each


@dataclass(frozen=True)
class PixelClassifier:
    """Logistic regression of single pixels: their colour, position, and products of two of these."""

    model: Any  # scikit-learn's pipeline; None if all pixels have one class
    most_frequent: int

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class ids (N, H, W) of images (N, H, W, C) in [0, 255]."""
        if self.model is None:
            return np.full(images.shape[:3], self.most_frequent)
        masks = [self.model.predict(_pixel_features(image)) for image in images]  # image by image, to save memory
        return np.stack(masks).reshape(images.shape[:3])


def fit_pixels(training: Feed, ignore: int) -> PixelClassifier:
    """Fit logistic regression to random pixels of the first images of a feed, but those labelled `ignore`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    random, counts = np.random.default_rng(0), np.zeros(256, np.int64)
    features, labels = [], []
    for image, mask, *_ in training.take(PIXEL_IMAGES).batches(1, augmented=False).unbatch().as_numpy_iterator():
        ids = mask.ravel()
        valid = np.flatnonzero(ids != ignore)
        counts += np.bincount(ids[valid], minlength=256)
        chosen = random.permutation(valid)[:PIXELS]
        features.append(_pixel_features(image)[chosen])
        labels.append(ids[chosen])
    x, y = np.concatenate(features), np.concatenate(labels)
    if len(np.unique(y)) < 2:
        return PixelClassifier(None, int(counts.argmax()))
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-3))
    return PixelClassifier(model.fit(x, y), int(counts.argmax()))


def _pixel_features(image: np.ndarray) -> np.ndarray:
    """Return colour in [0, 1], and row and column in [-1, 1], of every pixel: float32 (H * W, C + 2)."""
    height, width, channels = image.shape
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    values = np.concatenate([image / 255.0, np.stack([rows, columns], axis=-1)], axis=-1)
    return values.astype(np.float32).reshape(-1, channels + 2)
