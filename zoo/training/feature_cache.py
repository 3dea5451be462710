"""Cached features of a frozen network: computed once, used in every epoch."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

import pipelines
from pipelines import stateless_random
from pipelines.sources.storage import preparing
from zoobase.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.feeding import Feed
    from zoobase.console import Console

BATCH = 32
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # `C` of the logistic regression on features
MAX_ENTRIES = 8  # folders of features in the cache
_VIEW_STREAM = 0x7EA7  # id of the random stream that selects the view of an example in an epoch


def compute(
    body: keras.Model, feed: Feed, views: int, seed: int, console: Console, split: str = "train"
) -> dict[str, np.ndarray]:
    """Compute the features of every image of a feed.

    Args:
        body: Image (B, H, W, C) -> embedding (B, D).
        feed: Feed of (image, label[, weight]); its augmentation gives the views.
        views: Views of each image: the first is the image itself, the others are augmented.
        seed: Random seed of the augmentation.
        console: Receives progress.
        split: Name of the split, for the progress messages.

    Returns:
        "embedding" float32 (N, views, D), "label", and "weight" if the feed has weights.
    """
    call = tf.function(lambda images: body(tf.cast(images, tf.float32), training=False), reduce_retracing=True)
    columns: list[np.ndarray] = []
    rest: list[Any] = []
    for view in range(views):
        source = feed.batches(BATCH, seed=seed, epoch=view, augmented=view > 0)
        batches = []
        for batch in source:
            batches.append(call(batch[0]).numpy())
            if view == 0:
                rest.append([part.numpy() for part in batch[1:]])
        columns.append(np.concatenate(batches))
        console.print(f"frozen features of {feed.count:,} {split} images: {view + 1} of {views} views")
    joined = [np.concatenate(parts) for parts in zip(*rest, strict=True)]
    return {"embedding": np.stack(columns, axis=1), **dict(zip(("label", "weight"), joined, strict=False))}


def load_or_compute(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; if it is missing or damaged, compute and write them."""
    with preparing(path.parent):
        with (
            contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(path, allow_pickle=False) as archive,
        ):
            return {name: archive[name] for name in archive.files}
        arrays = compute()
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomic(path, content.getvalue())
        return arrays


def cache_folder(root: Path, name: str) -> Path:
    """Return the folder of one key, created if necessary; the oldest folders beyond `MAX_ENTRIES` are removed."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-MAX_ENTRIES]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def key(settings: Any) -> str:
    """Return a short digest of everything that determines the features."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=list).encode()).hexdigest()[:20]


def as_feed(arrays: dict[str, np.ndarray]) -> Feed:
    """Return a feed of (embedding (D,), label[, weight]) with one random view of each example per epoch."""
    views = arrays["embedding"].shape[1]
    rows = tuple(arrays[name] for name in ("embedding", "label", "weight") if name in arrays)

    def choose(batch: tuple[Any, ...], keys: tf.Tensor) -> tuple[Any, ...]:
        view = stateless_random.integers(keys, _VIEW_STREAM, 1, 0, views - 1)[:, 0]
        return tf.gather(batch[0], view, batch_dims=1), *batch[1:]

    return pipelines.feed(tf.data.Dataset.from_tensor_slices(rows), augment=choose, cache="memory")


def logistic_regression(features: dict[str, dict[str, np.ndarray]], limit: int = 10_000) -> float:
    """Return the test accuracy of scikit-learn's logistic regression on the features of the original images.

    Its regularisation is the best one of `STRENGTHS` on validation: the default is for fewer features than examples.

    Args:
        features: Features by split; of more than `limit` training examples an evenly spaced subset is used.
        limit: Largest number of training examples.
    """
    from zoo.evaluation.image_baselines import fit_probe

    train = features["train"]
    subset = np.unique(np.linspace(0, len(train["label"]) - 1, limit).astype(int))
    training = train["embedding"][subset, 0], train["label"][subset]
    validation, test = (
        (features[split]["embedding"][:, 0], features[split]["label"]) for split in ("validation", "test")
    )
    probes = [fit_probe(*training, iterations=500, strength=strength) for strength in STRENGTHS]
    return float(max(probes, key=lambda probe: probe.score(*validation)).score(*test))
