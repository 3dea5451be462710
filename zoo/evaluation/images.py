"""Images as arrays: reading, tiling and writing."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoobase.errors import UsageError
from zoobase.files import write_atomic


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Return pixels of any number type, rounded and clipped to [0, 255], as uint8 of the same shape."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def tile(images: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Arrange images uint8 (h, w, C) in a grid, cells as large as the largest; pixels without an image are black."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = -(-len(images) // columns)
    grid = np.zeros((rows * height, columns * width, images[0].shape[2]), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def read(path: str | Path, longest: int | None = None) -> np.ndarray:
    """Read an image file of any size and mode, upright, as uint8 RGB (H, W, 3); `longest` is its longer side."""
    from pipelines.images import reading

    width, height = reading.upright_size(path)
    if longest is not None:
        width, height = (max(1, round(side * longest / max(width, height))) for side in (width, height))
    return reading.read(path, height, width, 3)


def transfer_colours(colours: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    """Return the luminance (Y of YCbCr) of one uint8 image (H, W, 3) with the chrominance of another of its size."""
    from PIL import Image

    light, _, _ = Image.fromarray(luminance).convert("YCbCr").split()
    _, blue, red = Image.fromarray(colours).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (light, blue, red)).convert("RGB"))


def check_name(path: Path) -> str:
    """Return the image format of a file suffix; UsageError if Pillow cannot write it."""
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UsageError(f"{path}: unsupported image format; end the name in .png or .jpg")
    return kind


def write(path: Path, image: np.ndarray) -> None:
    """Write uint8 (H, W, 1, 3 or 4) atomically, in JPEG on white; UsageError if Pillow does not write the format."""
    from PIL import Image

    kind, content = check_name(path), io.BytesIO()
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    if picture.mode == "RGBA" and kind == "JPEG":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    picture.save(content, kind, quality=95)
    write_atomic(path, content.getvalue())
