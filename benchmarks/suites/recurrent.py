"""Implementations of a recurrent layer on a CPU: in TensorFlow, and PyTorch's."""

from benchmarks.benchmark import TORCH, Benchmark, Candidate, Goal

FORMS = {"layer": "the layer as it is", "unroll": "unroll=True", "time_major": "time first, ops.scan"}
CELLS = ("gru", "lstm")
NAME, PYTORCH = "{}, {}", "{}, PyTorch"

BENCHMARK = Benchmark(
    title="Training one recurrent layer: 256 units, batch 64, 128 steps",
    unit="characters/s",
    higher_is_better=True,
    candidates=tuple(
        candidate
        for cell in CELLS
        for candidate in (
            *(
                Candidate(NAME.format(cell.upper(), words), "ours/recurrent.py", (cell, form))
                for form, words in FORMS.items()
            ),
            Candidate(PYTORCH.format(cell.upper()), "peers/pytorch_recurrent.py", (cell,), TORCH),
        )
    ),
    goals=tuple(Goal(NAME.format(cell.upper(), FORMS["layer"]), PYTORCH.format(cell.upper()), 0) for cell in CELLS),
    quick=False,
)
