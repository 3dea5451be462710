"""From a plan to trained weights."""
