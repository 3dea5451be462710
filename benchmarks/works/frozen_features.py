"""What it saves to compute the features of a frozen backbone once."""

from benchmarks.work import Contender, Goal, Work

WORK = Work(
    title="python -m zoo.train flowers --no-export on 480 crops of photographs, from start to evaluation",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender("frozen features once", "ours/frozen_features.py", ("once",)),
        Contender("fit through the frozen backbone", "ours/frozen_features.py", ("through",)),
    ),
    goals=(Goal("frozen features once", "fit through the frozen backbone", 5),),
    rounds=1,
    quick=False,
    prepare="prepare_crops.py",
)
