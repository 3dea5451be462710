"""Time of commands that do not import TensorFlow."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

OURS = {
    "zoo (the list)": ("-m", "zoo"),
    "zoo.train --help": ("-m", "zoo.train", "--help"),
    "zoo.train, mistyped name": ("-m", "zoo.train", "fashion_minst"),
    "zoo.train fashion_mnist --help": ("-m", "zoo.train", "fashion_mnist", "--help"),
}
PEERS = {"import tensorflow": ("-c", "import tensorflow"), "import keras": ("-c", "import keras")}

BENCHMARK = Benchmark(
    title="Command line",
    unit="seconds",
    higher_is_better=False,
    candidates=tuple(Candidate(name, "ours/command.py", words) for name, words in (OURS | PEERS).items()),
    goals=tuple(Goal(name, "import tensorflow", 10) for name in OURS),
    rounds=5,
)
