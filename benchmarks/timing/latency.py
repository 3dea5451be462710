"""How fast a loaded model answers, for the contenders of `inference`; needs NumPy only: they live in several venvs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing.process import peak_mb, since_start

BATCHES, WARM_UP, TIMES, SECONDS = (1, 32), 10, 500, 3.0
P50, P95 = "p50 ms, batch {}", "p95 ms, batch {}"


def told(load: Callable[[], Callable[[np.ndarray], Any]]) -> dict[str, float]:
    """Load a model, ask it, and return what the harness is told.

    Args:
        load: Returns a function of images float32 (B, 28, 28, 1) in [0, 255] that has answered when it returns.
    """
    images = np.random.default_rng(0).integers(0, 256, (max(BATCHES), 28, 28, 1)).astype(np.float32)
    call = load()
    call(images[:1])
    found = {"cold start s": since_start()}
    for batch in BATCHES:
        taken = 1000 * np.array(_times(call, images[:batch]))
        found |= {
            P50.format(batch): float(np.percentile(taken, 50)),
            P95.format(batch): float(np.percentile(taken, 95)),
        }
    return {"value": found.pop(P50.format(1)), **found, "peak MB": peak_mb()}


def _times(call: Callable[[np.ndarray], Any], images: np.ndarray) -> list[float]:
    """Return the seconds of each call: at most TIMES, and no new one after SECONDS."""
    for _ in range(WARM_UP):
        call(images)
    seconds, ends = [], time.perf_counter() + SECONDS
    while len(seconds) < TIMES and time.perf_counter() < ends:
        began = time.perf_counter()
        call(images)
        seconds.append(time.perf_counter() - began)
    return seconds
