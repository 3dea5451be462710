"""How the feed grows with the examples: as fast for many as for few, and in a memory that does not grow with them."""

from benchmarks.benchmark import Contender, Goal, Work

KEPT = {"memory": "kept in memory, 10^{}", "disk": "kept on disk, 10^{}"}
DISK = KEPT["disk"]

WORK = Work(
    title="Feeding Fashion-MNIST again and again, decoded, cached, shuffled, augmented, in its second pass",
    unit="examples/s",
    higher_is_better=True,
    contenders=tuple(
        Contender(name.format(power), "ours/growth_feed.py", (place, str(10**power)))
        for place, name in KEPT.items()
        for power in range(3, 7)
    ),
    goals=(
        *(Goal(name.format(6), name.format(5), 0.8) for name in KEPT.values()),
        Goal(DISK.format(6), DISK.format(5), 0.7, of="peak MB"),  # the shuffle buffer grows to 256 MB, and no further
    ),
    rounds=1,
    quick=False,
    growth="examples",
)
