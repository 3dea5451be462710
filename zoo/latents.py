"""Points in the noise that a generator makes images of, and ways between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

STEPS = 8  # images of a way from one point to another


def draw(count: int, size: int, seed: int) -> np.ndarray:
    """Return standard normal noise, float32 (count, size)."""
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


def walks(count: int, size: int, seed: int, steps: int = STEPS) -> np.ndarray:
    """Return `count` ways of `steps` points, float32 (count * steps, size).

    They go round and not straight (White 2016, arXiv:1609.04468): the middle of a straight line is nearer to zero than
    any noise that the generator was taught with.
    """
    ends = draw(2 * count, size, seed).astype(np.float64)
    return np.concatenate([_arc(a, b, steps) for a, b in zip(ends[::2], ends[1::2], strict=True)]).astype(np.float32)


def _arc(a: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = max(np.arccos(np.clip(cosine, -1, 1)), 1e-6)
    share = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)


def images(call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]], noise: np.ndarray) -> list:
    """Return an image uint8 (H, W, C) for each row of noise; one at a time, as a TFLite file takes them."""
    from zoo.pictures import to_uint8

    return [to_uint8(call("serving_default", {"noise": row[None]})["image"][0]) for row in noise]
