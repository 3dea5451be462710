"""Scripts that create the data and models of benchmarks."""
