"""Compare what a runtime returned with what the reference returned. NumPy only, no clocks."""
