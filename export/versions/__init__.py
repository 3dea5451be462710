"""What an artifact answers in other versions of its runtimes, with other kernels and numbers of threads."""
