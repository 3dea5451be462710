"""What our feed, augmentation included, costs a training."""

from benchmarks.work import Contender, Goal, Work

WORK = Work(
    title="fit fed by our feed (flips and shifts) against fit fed one constant batch, fashion_mnist",
    unit="images/s",
    higher_is_better=True,
    contenders=(
        Contender("our feed", "ours/fit.py", ("float32", "flip_shift")),
        Contender("one constant batch", "ours/fit.py", ("float32", "flip_shift", "constant")),
    ),
    goals=(Goal("our feed", "one constant batch", 0.95),),
)
