"""Training: from a plan to trained weights."""
