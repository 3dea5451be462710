"""Tasks whose inputs are texts."""
