"""Self-contained scripts that convert a model, or that look into an artifact, each in a process of its own.

Like the runners they import NumPy, their library, each other and the files of `export.protocol`.
"""
