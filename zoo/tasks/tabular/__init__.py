"""Tasks on tables: the inputs are columns."""
