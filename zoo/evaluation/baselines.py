"""Baselines: PCA, a linear probe and a classifier of pixels for images; n-grams, xz and TF-IDF for texts."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pipelines.feeding import Feed


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
    return float(fit_probe(codes, labels, iterations).score(test_codes, test_labels))


def fit_probe(codes: np.ndarray, labels: np.ndarray, iterations: int, strength: float = 1.0) -> Any:
    """Fit scikit-learn's logistic regression to standardised codes (N, size); `strength` is its `C`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=iterations)).fit(codes, labels)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


PIXEL_IMAGES = 200  # images of which `fit_pixels` draws pixels
PIXELS = 100  # pixels that it draws of each


@dataclass(frozen=True)
class PixelClassifier:
    """Logistic regression of single pixels: their colour, position, and products of two of these.

    Attributes:
        model: scikit-learn's pipeline; None if all pixels have one class.
        most_frequent: The most frequent class.
    """

    model: Any
    most_frequent: int

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class ids (N, H, W) of images (N, H, W, C) in [0, 255]."""
        if self.model is None:
            return np.full(images.shape[:3], self.most_frequent)
        masks = [self.model.predict(_pixel_features(image)) for image in images]  # image by image, to save memory
        return np.stack(masks).reshape(images.shape[:3])


def fit_pixels(training: Feed, ignore: int) -> PixelClassifier:
    """Fit logistic regression to random pixels of the first images of a feed.

    Args:
        training: The training feed: images (B, H, W, C), class ids (B, H, W).
        ignore: The label of pixels that are ignored.
    """
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


MAX_ORDER = 9  # of the n-gram models that are compared on validation; longer n-grams of characters are rarely better


def best_ngram(train: np.ndarray, validation: np.ndarray, test: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """Return the order of the best n-gram model on the validation ids, and the probabilities of the test ids.

    Args:
        train: Training ids (N,), integers in 0..size-1.
        validation: Validation ids (L,), by which the order is chosen.
        test: Test ids (M,).
        size: Size of the vocabulary.

    Returns:
        The order, from 2 to `MAX_ORDER`, and float64 (M,), the probability of each test token given those before.
    """
    longest = min(MAX_ORDER, int(63 / math.log2(max(2, size))), len(train), len(validation), len(test))
    bits = {n: -np.log2(p).mean() for n, p in kneser_ney(train, validation, size, range(2, longest + 1)).items()}
    order = min(bits, key=bits.get)
    return order, kneser_ney(train, test, size, [order])[order]


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


def tfidf_accuracy(train: tuple[Sequence[str], Sequence[int]], test: tuple[Sequence[str], Sequence[int]]) -> float:
    """Return the accuracy of a linear SVM on TF-IDF of words, pairs of words and, of short texts, 2 to 6 characters.

    Reference: Wang, Manning 2012, https://aclanthology.org/P12-2018. The settings are scikit-learn's defaults with
    sublinear term frequencies, which were chosen on the validation split of `movie_reviews`.

    Args:
        train: Training texts and labels.
        test: Test texts and labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    features = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
    if sum(map(len, train[0])) <= SHORT_TEXTS:
        features.append(TfidfVectorizer(analyzer="char", ngram_range=(2, 6), sublinear_tf=True))
    classifier = make_pipeline(make_union(*features), LinearSVC(random_state=0))
    return float(classifier.fit(*train).score(*test))
