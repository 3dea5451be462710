"""Throughput and memory of a feed, for the candidates of `image_feed`; requires only psutil."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks.timing.process import MemoryMonitor

SIZE, BATCH, PASSES = 224, 32, 4


def measure_feed(batches: Iterator[tuple[Any, Any]], steps: int) -> dict[str, float]:
    """Run a warm-up pass, which starts workers, traces and fills the disk cache, then measure PASSES passes.

    Args:
        batches: (images, labels) of at least 1 + PASSES passes.
        steps: Batches per pass.

    Returns:
        The result of the candidate; CPU time and memory are those of all processes.
    """
    for _ in islice(batches, steps):
        pass
    with MemoryMonitor() as monitor:
        start, used = time.perf_counter(), monitor.cpu_seconds()
        count = sum(len(labels) for _, labels in islice(batches, PASSES * steps))
        seconds, used = time.perf_counter() - start, monitor.cpu_seconds() - used
    return {"value": count / seconds, "CPU ms an image": 1000 * used / count, "peak MB": monitor.mb}
