"""Which runtimes there are, and how a fresh process is started, bounded and read."""
