"""Characters per second of CPU time of text generation by the `step` endpoint: generate.py MODEL saved_model|tflite.

On one core; CPU time is that of a quiet machine, whatever else runs.
"""

import json
import os
import sys
import time
from pathlib import Path

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402 - the core is set before any runtime starts threads

import export  # noqa: E402
from benchmarks.timing.process import peak_mb  # noqa: E402
from zoo.tasks.text import decoding  # noqa: E402

WARM_UP, LENGTH = 20, 500


def main(model: str, runtime: str) -> dict[str, float]:
    """Generate greedily; return characters per CPU second, the peak memory of the process and the size of the state."""
    bundle = export.load(Path(os.environ["BENCHMARK_DATA"]) / model, runtime)
    states = {t.name: np.zeros(t.shape, np.float32) for t in bundle.contract["step"].inputs if t.meaning == "state"}
    choose = decoding.sampler(0, temperature=0.0)
    step = bundle["step"]
    decoding.generate(lambda inputs: step(**inputs), states, [1], WARM_UP, choose)
    start = time.process_time()
    decoding.generate(lambda inputs: step(**inputs), states, [1], LENGTH, choose)
    value = LENGTH / (time.process_time() - start)
    return {"value": value, "peak MB": peak_mb(), "state kB": sum(a.nbytes for a in states.values()) / 1000}


print(json.dumps(main(*sys.argv[1:])))
