"""How near generated images are to real ones, in the features of a network that was proven elsewhere.

Reference: Heusel 2017, arXiv:1706.08500 (Frechet distance); Kynkäänniemi 2019, arXiv:1904.06991 (precision, recall).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

NEIGHBOURS = 3  # of precision and recall, as in the paper
SIDE = 8  # of the pixels that stand for features where no network of ours knows the images
RARE = 0.1  # a class that is made less often than this share of its real frequency is dropped
NARROW = 0.5  # samples that vary less than this share of what real images do have collapsed


@dataclass(frozen=True)
class Judge:
    """What looks at images (B, H, W, C) in [0, 255].

    Attributes:
        name: For people.
        size: Of its features.
        features: Images -> float32 (B, size), a pure TensorFlow function.
        classify: Images -> logits (B, classes), or None where it knows no classes.
        class_names: Their names.
    """

    name: str
    size: int
    features: Callable[[Any], tf.Tensor]
    classify: Callable[[Any], tf.Tensor] | None = None
    class_names: tuple[str, ...] = ()


def frechet_distance(mean: Any, covariance: Any, other_mean: Any, other_covariance: Any) -> tf.Tensor:
    """Return |m - n|^2 + tr(A + B - 2 (A B)^(1/2)) of two normal distributions: (D,) and (D, D), float64 throughout.

    The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: nothing
    becomes complex, even where there are fewer examples than features.
    """
    values, vectors = tf.linalg.eigh(covariance)
    root = (vectors * tf.sqrt(tf.maximum(values, 0.0))) @ tf.transpose(vectors)
    shared = tf.sqrt(tf.maximum(tf.linalg.eigvalsh(root @ other_covariance @ root), 0.0))
    spread = tf.linalg.trace(covariance) + tf.linalg.trace(other_covariance) - 2.0 * tf.reduce_sum(shared)
    return tf.reduce_sum(tf.square(mean - other_mean)) + tf.maximum(spread, 0.0)


def distance_of(real: np.ndarray, made: np.ndarray) -> float:
    """Return the Frechet distance of features (N, D) and (M, D)."""
    moments = [x for f in (real, made) for x in (f.mean(0, dtype=np.float64), np.cov(f.astype(np.float64).T))]
    return float(frechet_distance(*(tf.constant(np.atleast_1d(m)) for m in moments)))


class FrechetDistance(keras.metrics.Metric):
    """The Frechet distance of real and made images, gathered batch by batch."""

    def __init__(self, judge: Judge, name: str = "frechet_distance") -> None:
        """Gather means and covariances of the features of `judge`."""
        super().__init__(name=name, dtype="float64")
        self.features = judge.features
        shape = {"count": (2,), "sums": (2, judge.size), "products": (2, judge.size, judge.size)}
        self.count, self.sums, self.products = (
            self.add_variable(s, keras.initializers.Zeros(), dtype="float64", name=n) for n, s in shape.items()
        )

    def update_state(self, real: Any, made: Any) -> None:
        """Take in a batch of real and a batch of made images."""
        both = [tf.cast(self.features(images), tf.float64) for images in (real, made)]
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


def collect(look: Callable[[Any], tf.Tensor], images: np.ndarray, batch: int = 500) -> np.ndarray:
    """Return what `look` makes of images, float32 (N, ...), a batch at a time."""
    call = _compiled(look)
    return np.concatenate([call(tf.constant(images[i : i + batch])).numpy() for i in range(0, len(images), batch)])


@functools.lru_cache(maxsize=4)  # the same judge looks again and again
def _compiled(look: Callable[[Any], tf.Tensor]) -> Callable[[Any], tf.Tensor]:
    return tf.function(lambda x: look(tf.cast(x, tf.float32)), reduce_retracing=True)


def precision_and_recall(real: np.ndarray, made: np.ndarray, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return the shares of made features that lie among real ones, and of real that lie among made: (N, D), (M, D)."""
    return {"precision": _covered(real, made, k), "recall": _covered(made, real, k)}


def _covered(among: np.ndarray, points: np.ndarray, k: int) -> float:
    """Return the share of points that are as near to one of `among` as its k-th neighbour is."""
    from sklearn.metrics import pairwise_distances_chunked
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(among) - 1)
    reach = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(among).kneighbors(among)[0][:, k]
    inside = [(block <= reach).any(axis=1) for block in pairwise_distances_chunked(points, among)]
    return float(np.concatenate(inside).mean())


def noise_like(real: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return uniform pixels, uint8 of the same shape."""
    return np.random.default_rng(seed).integers(0, 256, real.shape, dtype=np.uint8)


def compare_sets(
    judge: Judge, real: np.ndarray, made: np.ndarray, ceiling: Mapping[str, np.ndarray] | None = None
) -> dict[str, dict[str, float]]:
    """Judge images (N, H, W, C) beside two rows that say what the numbers mean.

    Args:
        judge: What looks at them.
        real: What is there.
        made: What was made.
        ceiling: {row: images} of what costs nothing; by default "noise", uniform pixels.

    Returns:
        {row: {frechet_distance, precision, recall}} for "this model", "real halves" (the floor: one half of the real
        images against the other, which are half as many and so never nearer than the real distance is) and the ceiling.
    """
    ceiling = {"noise": noise_like(real)} if ceiling is None else ceiling
    seen = collect(judge.features, real)
    pairs = {"this model": (seen, collect(judge.features, made)), "real halves": (seen[::2], seen[1::2])}
    pairs |= {name: (seen, collect(judge.features, images)) for name, images in ceiling.items()}
    return {
        name: {"frechet_distance": distance_of(one, other), **precision_and_recall(one, other)}
        for name, (one, other) in pairs.items()
    }


def taken_for(judge: Judge, real: np.ndarray, images: np.ndarray) -> float:
    """Return the share of images that a judge who knows classes takes for what it takes most of the real ones for."""
    seen, known = (collect(judge.classify, x).argmax(-1) for x in (images, real))
    return float((seen == np.bincount(known).argmax()).mean())


def modes(judge: Judge, real: np.ndarray, made: np.ndarray) -> dict[str, Any]:
    """Tell whether a generator makes all that there is.

    Returns:
        `diversity`, the deviation of the features of made images in those of real ones; `class_shares`, what the judge
        takes both for, where it knows classes; `collapsed`; and `remarks`, a sentence.
    """
    spread = [np.sqrt(collect(judge.features, x).var(axis=0, dtype=np.float64).sum()) for x in (made, real)]
    diversity = float(spread[0] / max(spread[1], 1e-12))
    shares: dict[str, Mapping[str, float]] = {}
    if judge.classify is not None:
        counted = [
            np.bincount(collect(judge.classify, x).argmax(-1), minlength=len(judge.class_names)) / len(x)
            for x in (real, made)
        ]
        shares = {n: {"real": float(r), "made": float(m)} for n, r, m in zip(judge.class_names, *counted, strict=True)}
    dropped = [name for name, share in shares.items() if share["made"] < RARE * share["real"]]
    collapsed = bool(dropped) or diversity < NARROW
    return {
        "diversity": diversity,
        "collapsed": collapsed,
        **({"class_shares": shares} if shares else {}),
        "remarks": [_in_words(collapsed, dropped, list(shares), diversity)],
    }


def _in_words(collapsed: bool, dropped: Sequence[str], classes: Sequence[str], diversity: float) -> str:
    told = f"samples vary {diversity:.2f} times as much as real images"
    if dropped:
        told = f"{len(dropped)} of {len(classes)} classes are hardly made ({', '.join(dropped)}); {told}"
    elif classes:
        told = f"all {len(classes)} classes are made; {told}"
    return f"mode collapse: {told}" if collapsed else f"no mode collapse: {told}"
