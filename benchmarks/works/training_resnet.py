"""Training throughput of a small ResNet."""

from benchmarks.works.training import work

WORK = work("resnet20", quick=False)
