"""Pictures as plain arrays: laid side by side, and written."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Return pixels of any number type in [0, 255], rounded and clipped, as uint8 of the same shape."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def tile(images: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Lay images (h, w, C) out in rows, each in the corner of a cell that holds the largest.

    Args:
        images: uint8, all with the same number of channels.
        columns: In a row; by default as many as make the grid square.

    Returns:
        uint8 (H, W, C), black where there is no image.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = -(-len(images) // columns)
    grid = np.zeros((rows * height, columns * width, images[0].shape[2]), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def write(path: Path, image: np.ndarray) -> None:
    """Write uint8 (H, W, 1 or 3), whole or not at all, in the format that the ending names.

    Raises:
        UsageError: Pillow writes no such format.
    """
    from PIL import Image

    from pipelines.sources import write_atomic
    from zoo.errors import UsageError

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UsageError(f"{path}: no picture can be written under this name; end it in .png or .jpg")
    content = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(content, kind, quality=95)
    write_atomic(path, content.getvalue())
