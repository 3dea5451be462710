"""Latency of a loaded model, for the candidates of `inference`; requires only NumPy."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing.process import peak_mb, since_start

BATCHES, WARM_UP, TIMES, SECONDS = (1, 32), 10, 500, 3.0
P50, P95 = "p50 ms, batch {}", "p95 ms, batch {}"


def measure(load: Callable[[], Callable[[np.ndarray], Any]]) -> dict[str, float]:
    """Load a model, time its calls, and return the result of the candidate.

    Args:
        load: Returns a synchronous function of images float32 (B, 28, 28, 1) in [0, 255].
    """
    images = np.random.default_rng(0).integers(0, 256, (max(BATCHES), 28, 28, 1)).astype(np.float32)
    call = load()
    call(images[:1])
    result = {"cold start s": since_start()}
    for batch in BATCHES:
        milliseconds = 1000 * np.array(_times(call, images[:batch]))
        result |= {
            P50.format(batch): float(np.percentile(milliseconds, 50)),
            P95.format(batch): float(np.percentile(milliseconds, 95)),
        }
    return {"value": result.pop(P50.format(1)), **result, "peak MB": peak_mb()}


def _times(call: Callable[[np.ndarray], Any], images: np.ndarray) -> list[float]:
    """Return the seconds of each call, for at most TIMES calls and SECONDS seconds."""
    for _ in range(WARM_UP):
        call(images)
    seconds, ends = [], time.perf_counter() + SECONDS
    while len(seconds) < TIMES and time.perf_counter() < ends:
        start = time.perf_counter()
        call(images)
        seconds.append(time.perf_counter() - start)
    return seconds
