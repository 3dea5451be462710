"""Self-contained scripts that run one artifact in one runtime, each in a fresh process.

`python -P run_NAME.py JOB.json`: nothing here imports the rest of `export`, so that only the artifact is tested.
"""
