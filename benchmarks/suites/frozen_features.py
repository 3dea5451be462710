"""Time saved by computing the features of a frozen backbone once."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

ONCE, THROUGH = "frozen features once", "fit through the frozen backbone"

BENCHMARK = Benchmark(
    title="python -m zoo.train flowers --no-export on 480 crops of photographs, from start to evaluation",
    unit="seconds",
    higher_is_better=False,
    candidates=(
        Candidate(ONCE, "ours/frozen_features.py", ("once",)),
        Candidate(THROUGH, "ours/frozen_features.py", ("through",)),
    ),
    goals=tuple(Goal(ONCE, THROUGH, ratio, of) for of, ratio in {"": 5, "seconds an epoch": 10}.items()),
    rounds=1,
    quick=False,
    prepare="prepare/crops.py",
)
