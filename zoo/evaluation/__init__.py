"""What a model answers, and how good it is."""
