"""Cost of our feed with augmentation in a training; it is most visible with fast arithmetic."""

from benchmarks.benchmark import Benchmark, Candidate, Goal
from benchmarks.suites.training import NO_BFLOAT16

FED, BOUND = "our feed, {}", "one constant batch, {}"


def _candidates(precision: str, missing: str = "") -> tuple[Candidate, ...]:
    arguments = ("fashion_mnist", precision, "flip,shift")
    return (
        Candidate(FED.format(precision), "ours/fit.py", arguments, missing=missing),
        Candidate(BOUND.format(precision), "ours/fit.py", (*arguments, "constant"), missing=missing),
    )


BENCHMARK = Benchmark(
    title="fit fed by our feed (flips and shifts) against fit fed one constant batch, fashion_mnist",
    unit="images/s",
    higher_is_better=True,
    candidates=(*_candidates("float32"), *_candidates("bfloat16", NO_BFLOAT16)),
    goals=tuple(Goal(FED.format(p), BOUND.format(p), 0.95) for p in ("float32", "bfloat16")),
)
