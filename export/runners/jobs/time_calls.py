"""Time calls of several artifacts at batch size 1, in turns, so that what else the machine does meets all of them.

`python -P time_calls.py JOB.json`, the job being
    {"artifacts": [as for a runner], "endpoint": name, "inputs": .npz of rows by name, "seconds": of each artifact,
     "result": file}
The result is {path: {"ms": median of a call, "problem": why it cannot be run, or null}}.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import run_litert
import run_onnx
from arrays import read_arrays
from machine import answer_job

ROUNDS = 20
RUNNERS = {format: script for script in (run_litert, run_onnx) for format in script.RUNTIME.formats}


def measure(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the median time of a call of each artifact, or why there is none."""
    inputs = read_arrays(Path(job["inputs"]))
    rows = [{name: value[i : i + 1] for name, value in inputs.items()} for i in range(len(next(iter(inputs.values()))))]
    calls, times, result = {}, {}, {}
    for artifact in job["artifacts"]:
        try:
            calls[artifact["path"]] = RUNNERS[artifact["format"]].open_artifact(artifact, {})[job["endpoint"]]["main"]
            calls[artifact["path"]](rows[0])
            times[artifact["path"]] = []
        except Exception as error:
            calls.pop(artifact["path"], None)
            result[artifact["path"]] = {"ms": None, "problem": f"{type(error).__name__}: {error}"[:200]}
    for _ in range(ROUNDS):
        for path, call in calls.items():
            end, done = time.perf_counter() + job["seconds"] / ROUNDS, 0
            while done == 0 or time.perf_counter() < end:
                row = rows[done % len(rows)]
                start = time.perf_counter()
                call(row)
                times[path].append(time.perf_counter() - start)
                done += 1
    return result | {path: {"ms": 1e3 * float(np.median(t)), "problem": None} for path, t in times.items()}


if __name__ == "__main__":
    answer_job(measure)
