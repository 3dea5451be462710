"""CPU seconds of `make test`; each run is a row of benchmarks/suite_history.csv, which shows the growth by commit."""

from benchmarks.benchmark import Benchmark, Candidate

BENCHMARK = Benchmark(
    title="The tests",
    unit="CPU seconds",
    higher_is_better=False,
    candidates=(Candidate("make test", "ours/suite.py"),),
    rounds=1,
    quick=False,
)
