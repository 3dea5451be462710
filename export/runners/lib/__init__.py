"""What the runners share; they put this folder on their path, for `python -P` does not."""
