"""Tasks whose models generate images."""
