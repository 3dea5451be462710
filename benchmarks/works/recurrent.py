"""The forms in which TensorFlow can run a recurrent layer on a CPU."""

from benchmarks.benchmark import Contender, Work

FORMS = {"layer": "the layer as it is", "unroll": "unroll=True", "time_major": "time first, ops.scan"}

WORK = Work(
    title="Training one recurrent layer: 256 units, batch 64, 128 steps",
    unit="characters/s",
    higher_is_better=True,
    contenders=tuple(
        Contender(f"{cell.upper()}, {words}", "ours/recurrent.py", (cell, form))
        for cell in ("gru", "lstm")
        for form, words in FORMS.items()
    ),
    quick=False,
)
