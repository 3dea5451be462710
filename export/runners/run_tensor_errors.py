"""Rank the operators of a quantised TFLite file by the noise that they add.

`python -P run_tensor_errors.py JOB.json`, the job being {"float": file, "quantized": file, "signature": name, "inputs":
.npz of inputs by name, "result": file}; the result is that of `rank_operators`.
"""

from __future__ import annotations

import json
from pathlib import Path

if __name__ == "__main__":
    from arrays import read_arrays
    from machine import read_job
    from tensor_errors import rank_operators

    job = read_job()
    files = [Path(job[key]).read_bytes() for key in ("float", "quantized")]
    ranking = rank_operators(*files, job["signature"], read_arrays(Path(job["inputs"])))
    Path(job["result"]).write_text(json.dumps(ranking))
