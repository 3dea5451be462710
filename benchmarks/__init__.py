"""Benchmarks against alternatives: `python -m benchmarks`. They are not part of the tests.

suites/   one file per benchmark: its candidates, unit and targets
prepare/  scripts that create the data and models of a benchmark once
timing/   measurement of time and memory
ours/     candidates of this project, one script each
peers/    the alternatives, written as in their own documentation

A candidate is a script that runs the benchmark once in a fresh process and prints `{"value": ...}` as its last line,
optionally with other numbers, or `{"not_run": "reason"}`. $BENCHMARK_DATA is the folder of prepared data,
$BENCHMARK_TURN the number of the round and $BENCHMARK_STARTED the start time of the process.
"""
