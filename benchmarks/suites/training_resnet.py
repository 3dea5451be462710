"""Training throughput of a small ResNet."""

from benchmarks.suites.training import training_benchmark

BENCHMARK = training_benchmark("resnet20", quick=False)
