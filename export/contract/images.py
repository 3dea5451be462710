"""Images with the statistics of what people photograph and draw, generated: textures, gradients, edges, and noise."""

from collections.abc import Callable

import numpy as np


def _texture(size: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return noise whose amplitude falls as 1 / frequency, as in photographs (Field 1987, J. Opt. Soc. Am. A 4)."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(size[:2]))[..., None]
    spectrum = np.fft.rfft2(rng.standard_normal(size), axes=(0, 1)) / frequency
    return _stretched(np.fft.irfft2(spectrum, size[:2], axes=(0, 1)))


def _gradient(size: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    y, x = (np.linspace(0, 1, n)[:, None] for n in size[:2])
    slopes = rng.uniform(-1, 1, (2, size[2]))
    return _stretched(y[:, None] * slopes[0] + x[None] * slopes[1])


def _edges(size: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a drawing of rectangles of one colour each."""
    image = np.tile(rng.uniform(0, 1, size[2]), (*size[:2], 1))
    for _ in range(6):
        top, left = (int(rng.integers(n)) for n in size[:2])
        bottom, right = (int(rng.integers(a, n)) + 1 for a, n in zip((top, left), size[:2], strict=True))
        image[top:bottom, left:right] = rng.uniform(0, 1, size[2])
    return image


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.full_like(image, 0.5)


KINDS: tuple[Callable[[tuple[int, int, int], np.random.Generator], np.ndarray], ...] = (
    lambda size, rng: rng.uniform(0, 1, size),
    *(_texture, _edges, _gradient),
)


def image_values(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return images (B, H, W, C) float64 in [0, 1]; their kinds follow each other row by row, noise first."""
    values = [KINDS[row % len(KINDS)](shape[1:], rng) for row in range(shape[0])]
    return np.stack(values) if values else np.empty(shape)
