"""How fast a feed gives pictures, and in what memory, for the contenders of `image_feed`, in any venv with psutil."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks.timing.process import Watching

SIZE, BATCH, PASSES = 224, 32, 4


def told(batches: Iterator[tuple[Any, Any]], steps: int) -> dict[str, float]:
    """Take a pass that starts workers, traces and fills the disk cache, then PASSES more, which are measured.

    Args:
        batches: (pictures, labels), of 1 + PASSES passes at least.
        steps: Batches of a pass.

    Returns:
        What the harness is told; CPU time and memory are those of all processes.
    """
    for _ in islice(batches, steps):
        pass
    with Watching() as watched:
        began, used = time.perf_counter(), watched.cpu_seconds()
        count = sum(len(labels) for _, labels in islice(batches, PASSES * steps))
        seconds, used = time.perf_counter() - began, watched.cpu_seconds() - used
    return {"value": count / seconds, "CPU ms an image": 1000 * used / count, "peak MB": watched.mb}
