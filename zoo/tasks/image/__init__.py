"""Tasks whose inputs are images."""
