"""What it saves to compute the features of a frozen backbone once."""

from benchmarks.benchmark import Contender, Goal, Work

ONCE, THROUGH = "frozen features once", "fit through the frozen backbone"

WORK = Work(
    title="python -m zoo.train flowers --no-export on 480 crops of photographs, from start to evaluation",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender(ONCE, "ours/frozen_features.py", ("once",)),
        Contender(THROUGH, "ours/frozen_features.py", ("through",)),
    ),
    goals=tuple(Goal(ONCE, THROUGH, ratio, of) for of, ratio in {"": 5, "seconds an epoch": 10}.items()),
    rounds=1,
    quick=False,
    prepare="prepare/crops.py",
)
