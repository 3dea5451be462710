"""Counters and latencies in Prometheus' text form, under the names of TF Serving, with the version as another label.

Source: request_count and request_latency in tensorflow_serving/servables/tensorflow/util.cc, and its
prometheus_exporter.cc.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter

PATH = "/monitoring/prometheus/metrics"
COUNT, LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
BOUNDS = tuple(10 * 1.8**i for i in range(33))  # microseconds, as in TF Serving


class Metrics:
    """The figures of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._buckets: dict[tuple[str, ...], list[int]] = {}
        self._sums: Counter[tuple[str, ...]] = Counter()

    def add(self, model: str, version: int | None, entrypoint: str, code: str, seconds: float) -> None:
        """Count an answer; the latency of OK answers only."""
        number, microseconds = "" if version is None else str(version), int(seconds * 1e6)
        with self._lock:
            self._counts[model, code, number] += 1
            if code == "OK":
                key = model, "Predict", entrypoint, number
                buckets = self._buckets.setdefault(key, [0] * (len(BOUNDS) + 1))
                buckets[bisect_left(BOUNDS, microseconds)] += 1
                self._sums[key] += microseconds

    def text(self) -> str:
        """Return all figures."""
        with self._lock:
            lines = [f"# TYPE {COUNT} counter"]
            for key, count in sorted(self._counts.items()):
                lines.append(f"{COUNT}{{{_labels(('model_name', 'status', 'version'), key)}}} {count}")
            lines.append(f"# TYPE {LATENCY} histogram")
            for key, buckets in sorted(self._buckets.items()):
                labels, total = _labels(("model_name", "API", "entrypoint", "version"), key), 0
                for bound, count in zip((*BOUNDS, None), buckets, strict=True):
                    total += count
                    limit = "+Inf" if bound is None else f"{bound:g}"
                    lines.append(f'{LATENCY}_bucket{{{labels},le="{limit}"}} {total}')
                lines += [f"{LATENCY}_sum{{{labels}}} {self._sums[key]}", f"{LATENCY}_count{{{labels}}} {total}"]
        return "\n".join(lines) + "\n"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in values)
    return ",".join(f'{name}="{value}"' for name, value in zip(names, escaped, strict=True))
