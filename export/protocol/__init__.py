"""What this package and its runners share: the records and files that pass between them, and loaders without Python.

Only NumPy and the standard library. A runner imports these files by their plain names: `run_script` puts this folder on
its path, because `python -P` does not.
"""
