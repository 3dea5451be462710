"""Masks of class ids in image files: grey images of any depth, and palette images, whose indices are the ids."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.images.pixels import IGNORE
from zoobase.errors import DataError

DISTINCT = (  # colours of the first classes
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (255, 225, 25),
    (145, 30, 180),
    (245, 130, 48),
    (70, 240, 240),
    (240, 50, 230),
    (170, 110, 40),
    (0, 128, 128),
    (250, 190, 212),
    (128, 128, 128),
)


LOSSLESS = ("PNG", "BMP", "GIF")


def read(path: str | Path) -> np.ndarray:
    """Return the class ids uint8 (H, W) of a mask file; DataError if it has colours or ids above 255."""
    with Image.open(path) as image:
        if image.format not in LOSSLESS:
            raise DataError(f"the mask is a {image.format} file, which changes class ids: use PNG")
        if len(image.getbands()) > 1:
            raise DataError("the mask has colours: its values must be class ids, in a grey or a palette image")
        ids = np.asarray(image)
    if ids.min() < 0 or ids.max() > IGNORE:
        raise DataError(f"the mask has ids from {ids.min()} to {ids.max()}: they must be in 0 to {IGNORE}")
    return ids.astype(np.uint8)


def count(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the number of pixels of each id, int64 (256,); DataError if the size is not (H, W) of its image."""
    ids = read(path)
    if ids.shape != tuple(shape):
        sizes = (f"{side[1]}x{side[0]}" for side in (ids.shape, shape))
        raise DataError("the mask has {} pixels and the image {}".format(*sizes))
    return np.bincount(ids.ravel(), minlength=256)


def encode(ids: np.ndarray, colours: bool = False) -> bytes:
    """Return class ids uint8 (H, W) as a grey PNG, or with `colours` as one whose palette shows them in colour."""
    stream, image = io.BytesIO(), Image.fromarray(ids)
    if colours:
        image.putpalette(palette().tobytes())
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def palette() -> np.ndarray:
    """Return a colour for each class id, uint8 (256, 3): class 0 is black, ignored pixels are cream."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    colours[1 : 1 + len(DISTINCT)] = DISTINCT
    return colours
