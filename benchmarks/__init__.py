"""Side by side with what people would use instead: `python -m benchmarks`, never a test.

works/    one file per piece of work: who competes, in which unit, what is to be reached
prepare/  the data and the models that a work needs, made once
timing/   how time is measured
ours/     our contenders, one script each
peers/    the others, written as their own documentation writes them

A contender is a script that does the work once in a fresh process and prints `{"value": ...}` as its last line, with
other numbers beside it where they matter, or `{"not_run": "why"}`. It finds prepared data in $BENCHMARK_DATA, the
number of its turn in $BENCHMARK_TURN and the time at which it was started in $BENCHMARK_STARTED.
"""
