"""Frozen features: what a network that does not change says of pictures, computed once and trained on many times."""

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
from pipelines.sources.storage import locked, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from commandline.console import Console
    from pipelines.feeding import Feed

BATCH = 32
KEPT = 8  # data sets whose features stay in the cache
_CHOICE = 0x7EA7  # salt: which view an epoch sees of an example


def compute(
    body: keras.Model, feed: Feed, views: int, seed: int, console: Console, split: str = "train"
) -> dict[str, np.ndarray]:
    """Run a network over every picture of a feed.

    Args:
        body: Image (B, H, W, C) -> embedding (B, D).
        feed: Of (image, label[, weight]); its augmentation makes the views.
        views: How many of each picture: the first is the picture itself, the others are augmented.
        seed: Of the augmentation.
        console: Where progress is told.
        split: What the pictures are, for that.

    Returns:
        "embedding" float32 (N, views, D), "label", and "weight" where the feed has one.
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
        console.print(f"frozen features of {feed.count:,} {split} pictures: {view + 1} of {views} views")
    joined = [np.concatenate(parts) for parts in zip(*rest, strict=True)]
    return {"embedding": np.stack(columns, axis=1), **dict(zip(("label", "weight"), joined, strict=False))}


def remembered(path: Path, make: Any) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; where it is not there, or damaged, make and write them."""
    with locked(path.parent):
        with (
            contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(path, allow_pickle=False) as held,
        ):
            return {name: held[name] for name in held.files}
        made = make()
        content = io.BytesIO()
        np.savez(content, **made)
        write_atomic(path, content.getvalue())
        return made


def room(root: Path, name: str) -> Path:
    """Return the folder of one key, made if need be; of the others the newest `KEPT` stay."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def key(told: Any) -> str:
    """Return a short name for everything that decides the features."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=list).encode()).hexdigest()[:20]


def as_feed(arrays: dict[str, np.ndarray]) -> Feed:
    """Return a feed of (embedding (D,), label[, weight]) that shows one view of each example, by its key."""
    views = arrays["embedding"].shape[1]
    rows = tuple(arrays[name] for name in ("embedding", "label", "weight") if name in arrays)

    def choose(batch: tuple[Any, ...], keys: tf.Tensor) -> tuple[Any, ...]:
        place = stateless_random.integers(keys, _CHOICE, 1, 0, views - 1)[:, 0]
        return tf.gather(batch[0], place, batch_dims=1), *batch[1:]

    return pipelines.feed(tf.data.Dataset.from_tensor_slices(rows), augment=choose, cache="memory")


def logistic_regression(train: dict[str, np.ndarray], test: dict[str, np.ndarray], most: int = 10_000) -> float:
    """Return the test accuracy of scikit-learn's logistic regression on the pictures themselves (first views).

    Args:
        train: Features to fit; more than `most` examples are thinned evenly.
        test: Features to judge.
        most: Examples.
    """
    from zoo.evaluation.baselines import linear_probe

    chosen = np.unique(np.linspace(0, len(train["label"]) - 1, most).astype(int))
    known = train["embedding"][chosen, 0], train["label"][chosen]
    return linear_probe(*known, test["embedding"][:, 0], test["label"], iterations=500)
