"""Scaling of export and verification with the number of parameters."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

OURS, PEER = "export and proof, 10^{}", "Keras' export and a reload each, 10^{}"
POWERS = range(4, 9)

BENCHMARK = Benchmark(
    title="Export and verification of three dense layers; memory of all processes together",
    unit="seconds",
    higher_is_better=False,
    candidates=tuple(
        Candidate(label.format(power), script, (str(10**power),))
        for power in POWERS
        for label, script in ((OURS, "ours/export_and_proof.py"), (PEER, "peers/keras_export.py"))
    ),
    goals=tuple(
        Goal(
            OURS.format(power), OURS.format(power - 1), 0.1, of
        )  # ten times the parameters, at most ten times the cost
        for power in POWERS[1:]
        for of in ("", "peak MB")
    ),
    rounds=1,
    quick=False,
    growth="parameters",
)
