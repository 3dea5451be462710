"""Detection of objects: boxes of the outputs of a model, their loss, and their metrics."""
