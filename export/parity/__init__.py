"""Compare the outputs of a runtime with those of the reference. NumPy only, no clocks."""
