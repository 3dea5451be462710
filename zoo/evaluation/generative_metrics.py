"""Metrics of generated images in the features of a trained network.

Reference: Heusel 2017, arXiv:1706.08500 (Frechet distance); Kynkäänniemi 2019, arXiv:1904.06991 (precision, recall).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.catalogue import OWN
from pipelines.dataset import Info
from zoo.core.environment import dtype_policy
from zoobase.errors import DataError, MissingError, ZooError
from zoobase.files import sha256

NEIGHBOURS = 3  # k of precision and recall, as in the paper
SIDE = 8  # side of the averaged pixels that are the features of images without a trained feature extractor
MIN_CLASS_RATIO = 0.1  # a class counts as dropped below this fraction of its frequency among the real images
REAL_HALVES = "real halves"  # row of a comparison that is a bound, not a baseline
MIN_DIVERSITY = 0.5  # below this diversity, the samples count as mode collapse

GARMENTS = frozenset({"fashion_mnist", "edges_to_garments", "sneakers_to_boots"})  # datasets of Fashion-MNIST's images
# A classifier of the zoo (test accuracy 0.9400), trained at commit 9907aec: fixed, so that distances stay comparable
CLASSIFIER = Path(__file__).parent / "files" / "garment_classifier.keras"
CLASSIFIER_SHA256 = "f9c8dbfeb34d03e60430f90638b0168f81d93f4c132834300ab8219d2ed6d62f"
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
ENLARGED = 96  # side to which images are resized for the network of photographs


@dataclass(frozen=True)
class FeatureExtractor:
    """Features and, optionally, classes of images (B, H, W, C) in [0, 255]."""

    name: str
    size: int  # number of features
    features: Callable[[Any], tf.Tensor]  # images -> float32 (B, size), a pure TensorFlow function
    classify: Callable[[Any], tf.Tensor] | None = None  # images -> logits (B, classes), or None
    class_names: tuple[str, ...] = ()


def feature_extractor_for(info: Info, shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the feature extractor for the images (H, W, C) of a dataset."""
    # For garments the inputs of the last layer of a trained Fashion-MNIST classifier; for others the averages of the
    # fifth stage (112) of EfficientNet-Lite0 trained on ImageNet. Where its weights are not available, pixels averaged
    # to 8x8; the name, which every table of distances states, says which it was.
    if info.name.removeprefix(OWN) in GARMENTS and shape == (28, 28, 1):  # also a part of it, in one's own folder
        return _of_garments()
    try:
        return _of_photographs()
    except MissingError:
        return averaged_pixels(shape[2])


@functools.lru_cache(maxsize=1)
def _of_garments() -> FeatureExtractor:
    if sha256(CLASSIFIER) != CLASSIFIER_SHA256:
        raise ZooError(f"{CLASSIFIER} is damaged: its sha256 is another one; reinstall the package")
    model = keras.saving.load_model(CLASSIFIER, compile=False)
    body = keras.Model(model.input, model.get_layer("pool").output)
    return FeatureExtractor(
        "features of the zoo's fashion_mnist",
        body.output.shape[-1],
        lambda x: body(x, training=False),
        lambda x: model(x, training=False),
        CLASS_NAMES,
    )


@functools.lru_cache(maxsize=1)
def _of_photographs() -> FeatureExtractor:
    from zoo.modeling import backbones

    backbone = backbones.get("efficientnet_lite0")
    with dtype_policy("float32"):
        body = backbone.build((ENLARGED, ENLARGED, 3), "middle")
    try:
        backbone.pretrain(body)
    except DataError as error:
        raise MissingError(str(error)) from error

    def features(images: Any) -> tf.Tensor:
        colours = tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        return body(tf.image.resize(tf.cast(colours, tf.float32), [ENLARGED, ENLARGED]), training=False)

    return FeatureExtractor("features of EfficientNet-Lite0, stage 5", body.output.shape[-1], features)


@functools.lru_cache(maxsize=2)
def averaged_pixels(channels: int) -> FeatureExtractor:
    """Return pixels averaged to 8x8 as features."""

    def features(images: Any) -> tf.Tensor:
        small = tf.image.resize(tf.cast(images, tf.float32) / 255.0, [SIDE, SIDE], method="area")
        return tf.reshape(small, [-1, SIDE * SIDE * channels])

    return FeatureExtractor(f"pixels averaged to {SIDE}x{SIDE}", SIDE * SIDE * channels, features)


def frechet_distance(mean: Any, covariance: Any, other_mean: Any, other_covariance: Any) -> tf.Tensor:
    """Return |m - n|^2 + tr(A + B - 2 (A B)^(1/2)) of means m, n (D,) and covariances A, B (D, D), float64."""
    # The trace of the root by the eigenvalues of the symmetric A^(1/2) B A^(1/2): never complex, even of few examples.
    values, vectors = tf.linalg.eigh(covariance)
    root = (vectors * tf.sqrt(tf.maximum(values, 0.0))) @ tf.transpose(vectors)
    shared = tf.sqrt(tf.maximum(tf.linalg.eigvalsh(root @ other_covariance @ root), 0.0))
    spread = tf.linalg.trace(covariance) + tf.linalg.trace(other_covariance) - 2.0 * tf.reduce_sum(shared)
    return tf.reduce_sum(tf.square(mean - other_mean)) + tf.maximum(spread, 0.0)


def feature_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Return the Frechet distance of features (N, D) and (M, D)."""
    moments = [x for f in (real, fake) for x in (f.mean(0, dtype=np.float64), np.cov(f.astype(np.float64).T))]
    return float(frechet_distance(*(tf.constant(np.atleast_1d(m)) for m in moments)))


class FrechetDistance(keras.metrics.Metric):
    """The Frechet distance of real and generated images, accumulated batch by batch."""

    def __init__(self, extractor: FeatureExtractor, name: str = "frechet_distance") -> None:
        """Accumulate means and covariances of the features."""
        super().__init__(name=name, dtype="float64")
        self.features = extractor.features
        shape = {"count": (2,), "sums": (2, extractor.size), "products": (2, extractor.size, extractor.size)}
        self.count, self.sums, self.products = (
            self.add_variable(s, keras.initializers.Zeros(), dtype="float64", name=n) for n, s in shape.items()
        )

    def update_state(self, real: Any, fake: Any) -> None:
        """Add a batch of real and a batch of generated images."""
        both = [tf.cast(self.features(images), tf.float64) for images in (real, fake)]
        self.count.assign_add(tf.stack([tf.cast(tf.shape(x)[0], tf.float64) for x in both]))
        self.sums.assign_add(tf.stack([tf.reduce_sum(x, 0) for x in both]))
        self.products.assign_add(tf.stack([tf.matmul(x, x, transpose_a=True) for x in both]))

    def result(self) -> tf.Tensor:
        """Return the distance so far, float32."""
        moments = []
        for count, total, product in zip(*(tf.unstack(tf.convert_to_tensor(v)) for v in self.variables), strict=True):
            mean = total / tf.maximum(count, 1.0)
            moments += [mean, (product - count * mean[:, None] * mean) / tf.maximum(count - 1.0, 1.0)]
        return tf.cast(frechet_distance(*moments), tf.float32)


def collect(function: Callable[[Any], tf.Tensor], images: np.ndarray, batch: int = 500) -> np.ndarray:
    """Return the outputs of a function for images, float32 (N, ...), computed batch by batch."""
    call = _compiled(function)
    return np.concatenate([call(tf.constant(images[i : i + batch])).numpy() for i in range(0, len(images), batch)])


@functools.lru_cache(maxsize=4)  # avoids tracing the same function again
def _compiled(function: Callable[[Any], tf.Tensor]) -> Callable[[Any], tf.Tensor]:
    return tf.function(lambda x: function(tf.cast(x, tf.float32)), reduce_retracing=True)


def precision_and_recall(real: np.ndarray, fake: np.ndarray, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return precision and recall (Kynkäänniemi 2019) of features (N, D) of real and (M, D) of generated images."""
    return {"precision": _coverage(real, fake, k), "recall": _coverage(fake, real, k)}


def _coverage(reference: np.ndarray, points: np.ndarray, k: int) -> float:
    """Return the fraction of points within the distance of the k-th neighbour of at least one reference point."""
    from sklearn.metrics import pairwise_distances_chunked
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(reference) - 1)
    radius = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(reference).kneighbors(reference)[0][:, k]
    inside = [(block <= radius).any(axis=1) for block in pairwise_distances_chunked(points, reference)]
    return float(np.concatenate(inside).mean())


def noise_like(real: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return uniformly distributed pixels, uint8 of the same shape."""
    return np.random.default_rng(seed).integers(0, 256, real.shape, dtype=np.uint8)


def compare_sets(
    extractor: FeatureExtractor, real: np.ndarray, fake: np.ndarray, others: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return {row: {frechet_distance, precision, recall}} of generated images (N, H, W, C) and others."""
    # Rows: "this model"; `REAL_HALVES` of the real images, a lower bound; `others`, such as noise, an upper bound.
    features = collect(extractor.features, real)
    pairs = {"this model": (features, collect(extractor.features, fake)), REAL_HALVES: (features[::2], features[1::2])}
    pairs |= {name: (features, collect(extractor.features, images)) for name, images in others.items()}
    return {
        name: {"frechet_distance": feature_distance(one, other), **precision_and_recall(one, other)}
        for name, (one, other) in pairs.items()
    }


def target_class_share(extractor: FeatureExtractor, real: np.ndarray, images: np.ndarray) -> float:
    """Return the fraction of images that are classified as the most frequent predicted class of the real ones."""
    predicted, real_classes = (collect(extractor.classify, x).argmax(-1) for x in (images, real))
    return float((predicted == np.bincount(real_classes).argmax()).mean())


def mode_coverage(extractor: FeatureExtractor, real: np.ndarray, fake: np.ndarray) -> dict[str, Any]:
    """Detect mode collapse: `diversity`, `class_shares`, `collapsed` and `remarks`."""
    # Diversity is the standard deviation of the features of generated images relative to that of real ones.
    spread = [np.sqrt(collect(extractor.features, x).var(axis=0, dtype=np.float64).sum()) for x in (fake, real)]
    diversity = float(spread[0] / max(spread[1], 1e-12))
    shares: dict[str, Mapping[str, float]] = {}
    if extractor.classify is not None:
        frequencies = [
            np.bincount(collect(extractor.classify, x).argmax(-1), minlength=len(extractor.class_names)) / len(x)
            for x in (real, fake)
        ]
        rows = zip(extractor.class_names, *frequencies, strict=True)
        shares = {name: {"real": float(r), "made": float(f)} for name, r, f in rows}  # keys of evaluation.json
    dropped = [name for name, share in shares.items() if share["made"] < MIN_CLASS_RATIO * share["real"]]
    collapsed = bool(dropped) or diversity < MIN_DIVERSITY
    return {
        "diversity": diversity,
        "collapsed": collapsed,
        **({"class_shares": shares} if shares else {}),
        "remarks": [_remark(collapsed, dropped, list(shares), diversity)],
    }


def _remark(collapsed: bool, dropped: Sequence[str], classes: Sequence[str], diversity: float) -> str:
    remark = f"diversity {diversity:.2f} relative to real images"
    if dropped:
        remark = f"{len(dropped)} of {len(classes)} classes are missing or rare ({', '.join(dropped)}); {remark}"
    elif classes:
        remark = f"all {len(classes)} classes are generated; {remark}"
    return f"mode collapse: {remark}" if collapsed else f"no mode collapse: {remark}"
