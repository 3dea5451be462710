"""Scaling of the feed with the number of examples: constant throughput and bounded memory."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

CACHES = {"memory": "kept in memory, 10^{}", "disk": "kept on disk, 10^{}"}
DISK = CACHES["disk"]

BENCHMARK = Benchmark(
    title="Feeding repeated Fashion-MNIST, decoded, cached, shuffled, augmented, in its second pass",
    unit="examples/s",
    higher_is_better=True,
    candidates=tuple(
        Candidate(name.format(power), "ours/growth_feed.py", (cache, str(10**power)))
        for cache, name in CACHES.items()
        for power in range(3, 7)
    ),
    goals=(
        *(Goal(name.format(6), name.format(5), 0.8) for name in CACHES.values()),
        Goal(DISK.format(6), DISK.format(5), 0.7, of="peak MB"),  # the shuffle buffer is limited to 256 MB
    ),
    rounds=1,
    quick=False,
    growth="examples",
)
