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


def read(path: str | Path, longest: int | None = None) -> np.ndarray:
    """Read an image file of any size and mode, upright, as uint8 RGB (H, W, 3).

    Args:
        path: The file.
        longest: The longer side that it is brought to, its aspect kept; None leaves the size as it is.

    Raises:
        pipelines.DataError: There is no such file, it is no image, it is damaged, or it is too large.
    """
    import pipelines

    width, height = pipelines.images.upright_size(path)
    if longest is not None:
        width, height = (max(1, round(side * longest / max(width, height))) for side in (width, height))
    return pipelines.images.read(path, height, width, 3)


def with_colours_of(colours: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Return the brightness (Y of YCbCr) of one uint8 image (H, W, 3) with the colours of another of its size."""
    from PIL import Image

    light, _, _ = Image.fromarray(brightness).convert("YCbCr").split()
    _, blue, red = Image.fromarray(colours).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (light, blue, red)).convert("RGB"))


def check_name(path: Path) -> str:
    """Return the format that the ending of a file name stands for; UsageError if Pillow writes no such format."""
    from PIL import Image

    from zoo.core.errors import UsageError

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UsageError(f"{path}: no picture can be written under this name; end it in .png or .jpg")
    return kind


def write(path: Path, image: np.ndarray) -> None:
    """Write uint8 (H, W, 1 or 3), whole or not at all; UsageError if Pillow has no format of that ending."""
    from PIL import Image

    from pipelines.sources.storage import write_atomic

    kind, content = check_name(path), io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(content, kind, quality=95)
    write_atomic(path, content.getvalue())
