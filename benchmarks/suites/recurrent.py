"""Implementations of a recurrent layer in TensorFlow on a CPU."""

from benchmarks.benchmark import Benchmark, Candidate

FORMS = {"layer": "the layer as it is", "unroll": "unroll=True", "time_major": "time first, ops.scan"}

BENCHMARK = Benchmark(
    title="Training one recurrent layer: 256 units, batch 64, 128 steps",
    unit="characters/s",
    higher_is_better=True,
    candidates=tuple(
        Candidate(f"{cell.upper()}, {words}", "ours/recurrent.py", (cell, form))
        for cell in ("gru", "lstm")
        for form, words in FORMS.items()
    ),
    quick=False,
)
