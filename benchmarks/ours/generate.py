"""Characters/s of text generation by the `step` endpoint of text_rnn on one core: generate.py saved_model|tflite."""

import json
import os
import sys
import time
from pathlib import Path

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402 - the core is set before any runtime starts threads

import export  # noqa: E402
from zoo.tasks.text import decoding  # noqa: E402

WARM_UP, LENGTH = 20, 500


def main(runtime: str) -> float:
    """Generate greedily; return characters per second."""
    bundle = export.load(Path(os.environ["BENCHMARK_DATA"]) / "text_rnn", runtime)
    states = {t.name: np.zeros(t.shape, np.float32) for t in bundle.contract["step"].inputs if t.meaning == "state"}
    choose = decoding.sampler(0, temperature=0.0)
    step = bundle["step"]
    decoding.generate(lambda inputs: step(**inputs), states, [1], WARM_UP, choose)
    start = time.perf_counter()
    decoding.generate(lambda inputs: step(**inputs), states, [1], LENGTH, choose)
    return LENGTH / (time.perf_counter() - start)


print(json.dumps({"value": main(*sys.argv[1:])}))
