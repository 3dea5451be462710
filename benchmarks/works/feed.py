"""What our feed, augmentation included, costs a training; the faster the arithmetic, the more it shows."""

from benchmarks.benchmark import Contender, Goal, Work
from benchmarks.works.training import NO_BFLOAT16

FED, BOUND = "our feed, {}", "one constant batch, {}"


def _contenders(precision: str, missing: str = "") -> tuple[Contender, ...]:
    words = ("fashion_mnist", precision, "flip_shift")
    return (
        Contender(FED.format(precision), "ours/fit.py", words, missing=missing),
        Contender(BOUND.format(precision), "ours/fit.py", (*words, "constant"), missing=missing),
    )


WORK = Work(
    title="fit fed by our feed (flips and shifts) against fit fed one constant batch, fashion_mnist",
    unit="images/s",
    higher_is_better=True,
    contenders=(*_contenders("float32"), *_contenders("bfloat16", NO_BFLOAT16)),
    goals=tuple(Goal(FED.format(p), BOUND.format(p), 0.95) for p in ("float32", "bfloat16")),
)
