"""One file per benchmark, with a constant `BENCHMARK`."""
