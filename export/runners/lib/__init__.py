"""Code shared by the runners; they add this folder to their path, because `python -P` does not."""
