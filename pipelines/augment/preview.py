"""A grid of augmented images: each row is an image followed by augmented views of it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from zoobase.errors import MISSING, USAGE, DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
GAP = 4  # pixels between images
LARGEST = 100_000_000  # pixels of a grid


def choose(sources: Sequence[str | os.PathLike], count: int) -> list[Path]:
    """Return `count` image files, evenly spaced among the files and the contents of the folders."""
    files: list[Path] = []
    for source in map(Path, sources):
        if not source.exists():
            raise DataError(f"there is no file or folder {source}", MISSING)
        candidates = source.rglob("*") if source.is_dir() else [source]
        files += sorted(p for p in candidates if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not files:
        raise DataError(f"there are no images in {', '.join(map(str, sources))}", MISSING)
    positions = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[i] for i in np.unique(positions)]


def check_size(count: int, size: int) -> None:
    """Raise DataError if a grid of `count` images of this side would be too large."""
    if (pixels := count * size**2) > LARGEST:
        raise DataError(
            f"the grid would have {pixels / 1e6:,.0f} million pixels, more than {LARGEST / 1e6:,.0f}: "
            "choose fewer --rows, fewer --views or a smaller --size",
            USAGE,
        )


def grid(
    files: Sequence[Path | bytes], augment: str, views: int, size: int, fit: str = "crop", seed: int = 0
) -> np.ndarray:
    """Return the grid uint8 (H, W, 3), a file a row, of side `size`; files that cannot be read are skipped."""
    check_size(len(files) * (views + 1), size)
    import tensorflow as tf

    from pipelines import stateless_random
    from pipelines.augment import policies
    from pipelines.images import decoding, reading

    augmentation = policies.policy(augment, num_classes=2) or (lambda batch, keys: batch)

    def read(file: Path | bytes) -> np.ndarray:
        decode = decoding.decode if isinstance(file, bytes) else reading.read
        return np.asarray(decode(file, size, size, 3, fit))

    batch = tf.constant(_read(files, read))
    columns, index = [batch.numpy()], tf.range(len(batch), dtype=tf.int64)
    for view in range(1, views + 1):
        columns.append(
            augmentation((batch, tf.zeros_like(index)), stateless_random.example_keys(seed, view, index))[0].numpy()
        )
    return tile(np.stack(columns, 1))


def tile(images: np.ndarray) -> np.ndarray:
    """Return images (rows, columns, H, W, 3) as one, with white gaps."""
    padded = np.pad(images, [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255)
    rows, count, height, width, _ = padded.shape
    return padded.transpose(0, 2, 1, 3, 4).reshape(rows * height, count * width, 3)[:-GAP, :-GAP]


def _read(files: Sequence[Path | bytes], read: Callable[[Path | bytes], np.ndarray]) -> np.ndarray:
    pixels, problem = [], None
    for file in files:
        try:
            pixels.append(read(file))
        except DataError as error:
            problem = error
    if not pixels:
        raise problem
    return np.stack(pixels)
