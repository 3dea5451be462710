"""Training throughput of the fashion_mnist network; `training_resnet` is for another network.

The upper bound is the speed of large matrix multiplications on the same machine. On 2 cores of an AMD EPYC without AMX,
matrix multiplications in bfloat16 are only 1.9 times as fast as in float32.
"""

from benchmarks.benchmark import TORCH, Benchmark, Candidate, Goal
from export.runtime import onednn
from zoo.training.autotune import has_bfloat16

JAX = ("keras>=3.15", "jax>=0.7", "numpy")
NO_BFLOAT16 = "" if has_bfloat16() else "this processor has no bfloat16 arithmetic"
OURS, KERAS, PYTORCH = "zoo, {}", "Keras fit, {}", "PyTorch channels_last, {}"
COMPILED, ON_JAX = "PyTorch compiled, {}", "Keras fit on JAX, {}"
OURS_OFF, KERAS_ON = "zoo without oneDNN, {}", "Keras fit with oneDNN, {}"
ON, OFF = ({onednn.VARIABLE: value} for value in "10")
IS_DEFAULT = "TensorFlow enables oneDNN by default on this processor" if onednn.is_default() else ""
BOUND = "matrix multiplications alone, {}"


def _candidates(network: str, precision: str, missing: str) -> tuple[Candidate, ...]:
    arguments = (network, precision)
    return (
        Candidate(OURS.format(precision), "ours/fit.py", (*arguments, "none"), missing=missing),
        Candidate(OURS_OFF.format(precision), "ours/fit.py", (*arguments, "none"), (), missing, OFF),
        Candidate(KERAS.format(precision), "peers/keras_fit.py", arguments, missing=missing),
        Candidate(KERAS_ON.format(precision), "peers/keras_fit.py", arguments, (), missing or IS_DEFAULT, ON),
        Candidate(PYTORCH.format(precision), "peers/pytorch_fit.py", arguments, TORCH, missing=missing),
        Candidate(COMPILED.format(precision), "peers/pytorch_fit.py", (*arguments, "compile"), TORCH, missing),
        Candidate(ON_JAX.format(precision), "peers/keras_fit.py", arguments, JAX, missing, {"KERAS_BACKEND": "jax"}),
        Candidate(BOUND.format(precision), "peers/matmul.py", arguments, missing=missing),
    )


def _goals(precision: str, keras_ratio: float) -> tuple[Goal, ...]:
    ratios = {KERAS: keras_ratio, PYTORCH: 1.2, COMPILED: 0, ON_JAX: 0, BOUND: 0}
    return tuple(Goal(OURS.format(precision), peer.format(precision), ratio) for peer, ratio in ratios.items())


def training_benchmark(network: str, quick: bool) -> Benchmark:
    """Return the benchmark of training a network of benchmarks/timing/networks.py."""
    return Benchmark(
        title=f"Training throughput, {network}, batch 128, no augmentation",
        unit="images/s",
        higher_is_better=True,
        candidates=(*_candidates(network, "float32", ""), *_candidates(network, "bfloat16", NO_BFLOAT16)),
        goals=(*_goals("float32", 1.4), *_goals("bfloat16", 2.5)),
        prepare="prepare/fashion_mnist.py",
        quick=quick,
    )


BENCHMARK = training_benchmark("fashion_mnist", quick=True)
