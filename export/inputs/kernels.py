"""The resize methods of the libraries that applications use, by their documented kernels, on NumPy arrays.

Sources: Pillow `Resample.c`, OpenCV `resize.cpp`, TensorFlow `scale_and_translate_op.cc` and `resize_bilinear_op.cc`,
PyTorch `UpSample.h`, TensorFlow.js `resizeBilinear`, Skia `SkSamplingOptions`, scikit-image `transform.resize`. Tests
compare each with the library itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """Which part of an axis a resized axis shows.

    Attributes:
        start: First position, in pixels; may be a fraction.
        length: Number of pixels, which may be a fraction.
        low: First pixel that may be read.
        high: Last pixel that may be read, plus one.
        target: Number of pixels of the result.
    """

    start: float
    length: float
    low: int
    high: int
    target: int

    @property
    def scale(self) -> float:
        """How many pixels of the source one of the result shows."""
        return self.length / self.target


@dataclass(frozen=True)
class Resizer:
    """A resize method.

    Attributes:
        libraries: The calls that use it.
        kernel: Weight by distance in pixels, array -> array; None takes the nearest pixel.
        radius: Beyond which the kernel is zero.
        antialias: Whether the kernel is as much wider as the image is made smaller.
        centres: Where pixel i of the result is in the source: "half" at (i + 0.5) * scale - 0.5, "corner" at i * scale,
            "corners" such that first and last pixels coincide; "summed" as "half", by adding the scale again and again,
            which decides where two pixels are equally near; "overlap" weighs pixels by how much of them is covered.
        before: What is done before: "halve" (means of 2x2 pixels, repeatedly) or "blur" (Gaussian); "" for nothing.
    """

    libraries: str
    kernel: Callable[[np.ndarray], np.ndarray] | None = None
    radius: float = 0.0
    antialias: bool = False
    centres: str = "half"
    before: str = ""


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(b: float, c: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the kernel of Mitchell and Netravali 1988; with b = 0 that of Keys 1981, a = -c."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b
        far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c
        return np.where(x < 1, near, np.where(x < 2, far, 0)) / 6

    return kernel


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0)


RESIZERS = {
    "bilinear": Resizer(
        "OpenCV INTER_LINEAR, tf.image.resize, torch bilinear, Android createScaledBitmap, canvas by default",
        *(_triangle, 1),
    ),
    "bilinear_antialias": Resizer(
        "Pillow BILINEAR, torchvision, tf.image.resize(antialias=True), jax.image.resize", _triangle, 1, True
    ),
    "nearest": Resizer("tf.image.resize nearest, torch nearest-exact"),
    "nearest_summed": Resizer("Pillow NEAREST, OpenCV INTER_NEAREST_EXACT", centres="summed"),
    "nearest_corner": Resizer("OpenCV INTER_NEAREST, torch nearest, TensorFlow 1, TensorFlow.js", centres="corner"),
    "bilinear_corner": Resizer(
        "MediaPipe Tasks, TensorFlow.js resizeBilinear, TensorFlow 1 resize_bilinear", _triangle, 1, centres="corner"
    ),
    "bilinear_corners": Resizer("align_corners=True of torch or TensorFlow 1", _triangle, 1, centres="corners"),
    "area": Resizer("OpenCV INTER_AREA, tf.image.resize area", centres="overlap"),
    "box": Resizer("Pillow BOX", lambda x: ((x > -0.5) & (x <= 0.5)).astype(float), 0.5, True),
    "hamming": Resizer(
        "Pillow HAMMING", lambda x: np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0), 1, True
    ),
    "bicubic": Resizer("tf.image.resize bicubic (a = -0.5)", _cubic(0, 0.5), 2),
    "bicubic_075": Resizer("OpenCV INTER_CUBIC, torch bicubic (a = -0.75)", _cubic(0, 0.75), 2),
    "bicubic_antialias": Resizer(
        "Pillow BICUBIC, torchvision, tf.image.resize(antialias=True)", _cubic(0, 0.5), 2, True
    ),
    "mitchell_antialias": Resizer("tf.image.resize mitchellcubic, antialias=True", _cubic(1 / 3, 1 / 3), 2, True),
    "lanczos3_antialias": Resizer(
        "Pillow LANCZOS, tf.image.resize lanczos3, Core Image and vImage", _lanczos(3), 3, True
    ),
    "lanczos4": Resizer("OpenCV INTER_LANCZOS4", _lanczos(4), 4),
    "lanczos5_antialias": Resizer("tf.image.resize lanczos5, antialias=True", _lanczos(5), 5, True),
    # TensorFlow: radius 1.5, deviation a third of it
    "gaussian_antialias": Resizer(
        "tf.image.resize gaussian, antialias=True", lambda x: np.where(np.abs(x) < 1.5, np.exp(-2 * x**2), 0), 1.5, True
    ),
    "halves_bilinear": Resizer(
        "mipmaps of means: OpenGL, Metal; inSampleSize of Android", _triangle, 1, before="halve"
    ),
    "blur_bilinear": Resizer("skimage.transform.resize(anti_aliasing=True)", _triangle, 1, before="blur"),
}
NEAREST_OFFSET = {"half": 0.5 + 1e-9, "corner": 1e-9, "summed": 0}
ABOVE_2 = "bilinear_antialias_above_2"  # antialiased only where an image is made more than twice as small


def chosen(name: str, rows: Span, columns: Span) -> str:
    """Return the name in `RESIZERS` of the method that a recipe means for an image."""
    if name != ABOVE_2:
        return name
    return "bilinear_antialias" if max(rows.scale, columns.scale) > 2 else "bilinear"


def resize(
    image: np.ndarray, rows: Span, columns: Span, name: str, window: tuple[slice, slice] = (slice(None), slice(None))
) -> np.ndarray:
    """Resize float32 (H, W, C) to (rows.target, columns.target, C), not rounded, or only a window of the result.

    Example:
        >>> image = np.arange(8, dtype=np.float32).reshape(2, 4, 1)
        >>> resize(image, Span(0, 2, 0, 2, 2), Span(0, 4, 0, 4, 2), "area")[..., 0]
        array([[0.5, 2.5],
               [4.5, 6.5]], dtype=float32)
    """
    resizer, spans = RESIZERS[chosen(name, rows, columns)], (rows, columns)
    while resizer.before == "halve" and min(s.scale for s in spans) >= 2 and min(image.shape[:2]) >= 2:
        image = (image[:-1:2, :-1:2] + image[1::2, :-1:2] + image[:-1:2, 1::2] + image[1::2, 1::2]) / 4
        spans = tuple(
            Span(s.start / 2, s.length / 2, s.low // 2, min(size, max(s.high // 2, 1)), s.target)
            for s, size in zip(spans, image.shape, strict=False)
        )
    taps = [tuple(part[w] for part in _taps(span, resizer)) for span, w in zip(spans, window, strict=True)]
    deviation = [max(0.0, (s.scale - 1) / 2) if resizer.before == "blur" else 0.0 for s in spans]
    margin = [int(np.ceil(4 * d)) for d in deviation]  # beyond which the Gaussian is cut off
    first = [max(0, int(index.min()) - m) for (index, _), m in zip(taps, margin, strict=True)]
    last = [int(index.max()) + m + 1 for (index, _), m in zip(taps, margin, strict=True)]
    part = image[first[0] : last[0], first[1] : last[1]]
    if any(deviation):
        from scipy.ndimage import gaussian_filter

        part = gaussian_filter(part, (*deviation, 0), mode="mirror")
    (r, row_weights), (c, column_weights) = taps
    resized = _along(part, r - first[0], row_weights).transpose(1, 0, 2)
    return _along(resized, c - first[1], column_weights).transpose(1, 0, 2)


def _along(image: np.ndarray, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted sums of rows: `index` and `weights` are (rows of the result, taps)."""
    result = np.zeros((len(index), *image.shape[1:]), np.float32)
    for position, weight in zip(index.T, weights.T, strict=True):
        result += image[position] * weight[:, None, None]
    return result


def _taps(span: Span, resizer: Resizer) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels that each pixel of the result is made of, and their weights: (target, taps) each."""
    i, last = np.arange(span.target), span.high - 1
    if resizer.centres == "overlap":
        return _overlaps(span)
    centre = {
        "half": span.start + (i + 0.5) * span.scale - 0.5,
        "corner": span.start + i * span.scale,
        "corners": span.start + i * (span.length - 1) / max(1, span.target - 1),
        "summed": span.start + np.add.accumulate(np.where(i == 0, span.scale / 2, span.scale)),
    }[resizer.centres]
    if resizer.kernel is None:
        nearest = np.floor(centre + NEAREST_OFFSET[resizer.centres]).astype(np.int64)
        return np.clip(nearest, span.low, last)[:, None], np.ones((span.target, 1), np.float32)
    stretch = max(span.scale, 1.0) if resizer.antialias else 1.0
    reach = resizer.radius * stretch
    index = np.floor(centre - reach).astype(np.int64)[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = resizer.kernel((index - centre[:, None]) / stretch)
    inside = (index >= span.low) & (index <= last)
    if resizer.antialias:  # pixels outside count nothing; else the outermost pixel is repeated
        weights = np.where(inside, weights, 0)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(np.abs(total) > 1e-12, total, 1)
    used = np.abs(weights).max(0) > 0
    return np.clip(index, span.low, last)[:, used], weights[:, used].astype(np.float32)


def _overlaps(span: Span) -> tuple[np.ndarray, np.ndarray]:
    start = span.start + np.arange(span.target) * span.scale
    index = np.floor(start + 1e-9).astype(np.int64)[:, None] + np.arange(int(np.ceil(span.scale)) + 1)
    overlap = np.minimum(index + 1, start[:, None] + span.scale) - np.maximum(index, start[:, None])
    weights = np.maximum(overlap, 0)
    weights = weights / weights.sum(1, keepdims=True)
    return np.clip(index, span.low, span.high - 1), weights.astype(np.float32)
