"""Cost of the verification: our export against Keras' own export calls and one reload of each file."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

NAMES = ("small", "mobilenet_v2", "resnet50")  # of benchmarks/timing/networks.py
OURS, PEER = "export and proof, {}", "Keras' export and a reload each, {}"

BENCHMARK = Benchmark(
    title="Five files of a Keras model: written and verified, against written and loaded once",
    unit="seconds",
    higher_is_better=False,
    candidates=tuple(
        Candidate(label.format(name), script, (name,))
        for name in NAMES
        for label, script in ((OURS, "ours/export_and_proof.py"), (PEER, "peers/keras_export.py"))
    ),
    goals=tuple(Goal(OURS.format(name), PEER.format(name), 1 / 3, of) for name in NAMES for of in ("", "CPU seconds")),
    rounds=1,
    quick=False,
)
