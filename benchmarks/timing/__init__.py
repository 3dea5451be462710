"""How time is measured: epochs, steps, calls, fresh processes, time to an accuracy."""
