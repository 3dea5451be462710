"""Rank the operators of a quantised TFLite file by the noise that they add.

`python -P run_tensor_errors.py JOB.json`, the job being {"float": file, "quantised": file, "signature": name, "inputs":
.npz of inputs by name, "result": file}; the result is that of `rank_operators`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
    import protocol
    from jobs import read_job
    from tensor_errors import rank_operators

    job = read_job()
    files = [Path(job[key]).read_bytes() for key in ("float", "quantised")]
    ranking = rank_operators(*files, job["signature"], protocol.read_arrays(Path(job["inputs"])))
    Path(job["result"]).write_text(json.dumps(ranking))
