"""Measurement of epochs, steps, calls, processes, and time to accuracy."""
