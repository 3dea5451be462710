"""Time of commands that do not import TensorFlow; predictions use the TFLite file that the first one keeps."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

OURS = {
    "zoo (the list)": ("-m", "zoo"),
    "zoo.train --help": ("-m", "zoo.train", "--help"),
    "zoo.train, mistyped name": ("-m", "zoo.train", "fashion_minst"),
    "zoo.train fashion_mnist --help": ("-m", "zoo.train", "fashion_mnist", "--help"),
}
PREDICTIONS = {
    "zoo.predict fashion_mnist": ("-m", "zoo.predict", "fashion_mnist", "docs/images/fashion_mnist_full.png"),
    "zoo.predict sentiment": ("-m", "zoo.predict", "sentiment", "a moving and funny film"),
}
PEERS = {"import tensorflow": ("-c", "import tensorflow"), "import keras": ("-c", "import keras")}

BENCHMARK = Benchmark(
    title="Command line",
    unit="seconds",
    higher_is_better=False,
    candidates=tuple(Candidate(name, "ours/command.py", words) for name, words in (OURS | PREDICTIONS | PEERS).items()),
    goals=(
        *(Goal(name, "import tensorflow", 10) for name in OURS),
        *(Goal(name, "import tensorflow", 3) for name in PREDICTIONS),
    ),
    rounds=5,
    prepare="prepare/kept_models.py",
)
