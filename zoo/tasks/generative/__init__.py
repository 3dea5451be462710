"""Tasks whose models make images."""
