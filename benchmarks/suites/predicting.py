"""Throughput of `model.predict` of the fashion_mnist network, with and without oneDNN, beside PyTorch."""

from benchmarks.benchmark import Benchmark, Candidate, Goal
from benchmarks.suites.training import OFF, ON, TORCH

WITH, WITHOUT, PYTORCH = "predict with oneDNN, as after `import zoo`", "predict without oneDNN", "PyTorch channels_last"

BENCHMARK = Benchmark(
    title="Throughput of predict, fashion_mnist, batch 128, float32",
    unit="images/s",
    higher_is_better=True,
    candidates=(
        Candidate(WITH, "peers/keras_predict.py", environment=ON),
        Candidate(WITHOUT, "peers/keras_predict.py", environment=OFF),
        Candidate(PYTORCH, "peers/pytorch_predict.py", requirements=TORCH),
    ),
    goals=(Goal(WITH, WITHOUT, 0), Goal(WITH, PYTORCH, 0)),
    prepare="prepare/fashion_mnist.py",
    quick=False,
)
