"""What augmentation does to pictures, as a grid to look at: a picture a row, itself first, then views of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipelines.errors import MISSING, DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
GAP = 4  # pixels between pictures


def choose(sources: Sequence[str | os.PathLike], count: int) -> list[Path]:
    """Return `count` picture files, evenly from all that the files and folders hold.

    Raises:
        DataError: There are none.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        if not source.exists():
            raise DataError(f"there is no file or folder {source}", MISSING)
        files = source.rglob("*") if source.is_dir() else [source]
        found += sorted(p for p in files if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not found:
        raise DataError(f"there are no pictures in {', '.join(map(str, sources))}", MISSING)
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[i] for i in np.unique(places)]


def grid(files: Sequence[Path], augment: str, views: int, size: int, fit: str = "crop", seed: int = 0) -> np.ndarray:
    """Return the grid.

    Args:
        files: One a row; those that cannot be read are left out.
        augment: As of `pipelines.augment.policy`.
        views: Augmented pictures a row.
        size: Side of a picture, in pixels.
        fit: As of `pipelines.images.decode`.
        seed: Of the augmentation.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: The policy is unknown, or no file can be read.
    """
    import tensorflow as tf

    from pipelines import stateless_random
    from pipelines.augment import policies
    from pipelines.images import decoding

    changed = policies.policy(augment, num_classes=2) or (lambda batch, keys: batch)
    batch = tf.constant(_read(files, lambda path: decoding.read(path, size, size, 3, fit)))
    columns, index = [batch.numpy()], tf.range(len(batch), dtype=tf.int64)
    for view in range(1, views + 1):
        columns.append(
            changed((batch, tf.zeros_like(index)), stateless_random.example_keys(seed, view, index))[0].numpy()
        )
    framed = np.pad(np.stack(columns, 1), [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255)
    rows, many, height, width, _ = framed.shape
    return framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, many * width, 3)[:-GAP, :-GAP]


def _read(files: Sequence[Path], read: Callable[[Path], np.ndarray]) -> np.ndarray:
    pixels, problem = [], None
    for path in files:
        try:
            pixels.append(read(path))
        except DataError as error:
            problem = error
    if not pixels:
        raise problem
    return np.stack(pixels)
