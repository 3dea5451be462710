"""Scaling with the number of image files: the index of a folder, and shards, which need none."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

STEPS = {
    "first": "folder, first time, 10^{}",
    "again": "folder, second time, 10^{}",
    "write": "shards, written, 10^{}",
    "shards": "shards, loaded, 10^{}",
}

BENCHMARK = Benchmark(
    title="Loading image files of 8x8 pixels, as a folder of 1,000 classes and as shards",
    unit="s",
    higher_is_better=False,
    candidates=tuple(
        Candidate(name.format(power), "ours/growth_index.py", (step, str(10**power)))
        for power in range(3, 7)
        for step, name in STEPS.items()
    ),
    goals=(
        Goal(STEPS["again"].format(6), STEPS["first"].format(6), 0),
        Goal(STEPS["first"].format(6), STEPS["first"].format(5), 1 / 12),  # linear
        Goal(STEPS["shards"].format(6), STEPS["shards"].format(5), 0.8, of="peak MB"),  # flat
    ),
    rounds=1,
    quick=False,
    prepare="prepare/tiny_images.py",
    growth="examples",
)
