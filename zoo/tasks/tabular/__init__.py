"""Tasks whose inputs are the columns of a table."""
