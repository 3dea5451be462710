"""What `decoding` computes in graphs, on NumPy arrays, with the same bits, for processes without TensorFlow.

The sums are in float32 in the order of TensorFlow's kernels ResizeBilinear (half-pixel centres) and ScaleAndTranslate
(the triangle kernel), which compute without fused multiplication and addition.
"""

import re
from collections.abc import Callable

import numpy as np

FITS = ("stretch", "crop", "pad")
IGNORE = 255  # in a mask, the label of pixels that count nowhere, as in Pascal VOC
JPEG_SCALES = (1, 2, 4, 8)  # the scales of the discrete cosine transform at which a JPEG can be decoded
EXIF_BYTES = 4096  # bytes of the file that are searched for EXIF, which is at the beginning
_ENTRIES = r"\C\C(?:\C{12})*?"  # number of entries of the directory, and the entries before the orientation
EXIF_ORIENTATION = (  # in the syntax of RE2, where \C is one byte
    r"(?s)^\C*?(?:Exif\x00\x00|eXIf)(?:"
    rf"II\*\x00\x08\x00\x00\x00{_ENTRIES}\x12\x01\x03\x00\x01\x00\x00\x00(\C)"
    rf"|MM\x00\*\x00\x00\x00\x08{_ENTRIES}\x01\x12\x00\x03\x00\x00\x00\x01\x00(\C)"
    r")\C*$"
)
_TINY = 1000 * np.finfo(np.float32).tiny  # a smaller sum of weights is not divided by


def orientation(encoded: bytes) -> int:
    """Return the EXIF orientation of an image file, 1 (upright) to 8; 1 if the value is missing or invalid."""
    match = re.match(EXIF_ORIENTATION.replace(r"\C", ".").encode(), encoded[:EXIF_BYTES])
    value = (match[1] or match[2])[0] if match else 1
    return value if 1 <= value <= 8 else 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and mirror an image (H, W, C) according to its EXIF orientation."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    vertical, horizontal = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return image[:: -1 if vertical else 1, :: -1 if horizontal else 1]


def jpeg_scale(size: tuple[int, int], height: int, width: int, fit: str) -> int:
    """Return the largest scale of `JPEG_SCALES` at which an upright image of a size still covers the target."""
    scales = np.array(size, np.float32) / np.array([height, width], np.float32)
    shrink = scales.max() if fit == "pad" else scales.min()
    return max(scale for scale in JPEG_SCALES if scale == 1 or shrink >= scale)


def on_white(image: np.ndarray) -> np.ndarray:
    """Compose an image uint8 (H, W, 2 or 4), whose last channel is its opacity, on white: uint8 (H, W, 1 or 3)."""
    colour, alpha = image[..., :-1].astype(np.float32), image[..., -1:].astype(np.float32) / np.float32(255)
    return np.round(colour * alpha + np.float32(255) * (1 - alpha)).astype(np.uint8)


def grey(rgb: np.ndarray) -> np.ndarray:
    """Return uint8 (..., 1) of uint8 RGB (..., 3)."""
    weighted = rgb.astype(np.float32) * np.array([0.299, 0.587, 0.114], np.float32)
    return np.round(weighted[..., 0] + weighted[..., 1] + weighted[..., 2])[..., None].astype(np.uint8)


def fitted(image: np.ndarray, height: int, width: int, fit: str) -> np.ndarray:
    """Return uint8 (H, W, C) as (height, width, C): stretched, cropped in the centre, or padded with black."""
    if fit == "stretch":
        return resize(image, height, width)
    (rows, columns), (top, left) = _inner(image.shape[:2], height, width, fit)
    if fit == "crop":
        return resize(image[top : top + rows, left : left + columns], height, width)
    padded = np.zeros((height, width, image.shape[2]), np.uint8)
    padded[top : top + rows, left : left + columns] = resize(image, rows, columns)
    return padded


def _inner(size: tuple[int, ...], height: int, width: int, fit: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the size of the part that "crop" cuts out of an image, or "pad" resizes it to, and what is before it."""
    whole, target = np.array(size), np.array([height, width])
    scales = whole / target
    outer, inner = (whole, scales.min() * target) if fit == "crop" else (target, whole / scales.max())
    part = np.clip(np.round(inner).astype(np.int64), 1, outer)
    return part, (outer - part) // 2


def placement(size: tuple[int, ...], height: int, width: int, fit: str) -> tuple[np.ndarray, np.ndarray]:
    """Return start and scale, float64 (2,) each, as `decoding.fitted_size` does for an image of (H, W)."""
    target, whole = np.array([height, width], float), np.array(size, float)
    if fit == "stretch":
        return np.zeros(2), target / whole
    inner, before = _inner(size, height, width, fit)
    return (-before * target / inner, target / inner) if fit == "crop" else (before.astype(float), inner / whole)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 (H, W, C) to uint8 (height, width, C), as `decoding.resize` does."""
    if image.shape[:2] == (height, width):
        return image
    shrink = max(
        np.float32(size) / np.float32(target) for size, target in zip(image.shape, (height, width), strict=False)
    )
    resized = _along(_antialiased if shrink > 2 else _bilinear, image.astype(np.float32), height, width)
    return np.clip(np.round(resized), 0, 255).astype(np.uint8)


def _along(function: Callable[[np.ndarray, int], np.ndarray], image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Apply a resizing of the first axis to both, in the order of the TensorFlow kernel."""

    def columns(image: np.ndarray) -> np.ndarray:
        return function(image.transpose(1, 0, 2), width).transpose(1, 0, 2)

    return columns(function(image, height)) if function is _antialiased else function(columns(image), height)


def _bilinear(image: np.ndarray, target: int) -> np.ndarray:
    """Interpolate linearly between the two nearest rows: (H, W, C) -> (target, W, C)."""
    scale = np.float32(len(image)) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before = image[np.maximum(np.floor(position), 0).astype(np.int64)]
    after = image[np.minimum(np.ceil(position), len(image) - 1).astype(np.int64)]
    return before + (after - before) * (position - np.floor(position))[:, None, None]


def _antialiased(image: np.ndarray, target: int) -> np.ndarray:
    """Take weighted means of rows, by a triangle as wide as two rows of the result: (H, W, C) -> (target, W, C)."""
    size, half, one = len(image), np.float32(0.5), np.float32(1)
    inverse = one / (np.float32(target) / np.float32(size))
    radius = max(inverse, one)
    centre = (np.arange(target, dtype=np.float32) + half) * inverse
    start = np.clip(np.ceil(centre - radius - half).astype(np.int64), 0, size - 1)
    stop = np.clip(np.floor(centre + radius - half).astype(np.int64), 0, size - 1) + 1
    rows = start[:, None] + np.arange((stop - start).max())
    distance = np.abs((rows.astype(np.float32) + half - centre[:, None]) * (one / radius))
    weights = np.where(rows < stop[:, None], np.maximum(one - distance, np.float32(0)), np.float32(0))
    total = np.add.accumulate(weights, axis=1, dtype=np.float32)[:, -1:]  # one after another, unlike `sum`
    weights = np.where(total >= _TINY, weights * (one / np.where(total >= _TINY, total, one)), weights)
    result = np.zeros((target, *image.shape[1:]), np.float32)
    for i in range(rows.shape[1]):
        result += image[np.minimum(rows[:, i], size - 1)] * weights[:, i, None, None]
    return result
