"""Detection of objects: boxes of the outputs of a model, their loss, their metrics, and a baseline."""
