"""Median seconds of the TFLite file of style_transfer for one image of 512x512 on all cores."""

import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

SIDE, WARM_UP, TIMES = 512, 2, 7

path = Path(os.environ["BENCHMARK_DATA"]) / "style_transfer" / "tflite" / "float32.tflite"
run = Interpreter(str(path), num_threads=len(os.sched_getaffinity(0))).get_signature_runner("serving_default")
image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
seconds = []
for _ in range(WARM_UP + TIMES):
    start = time.perf_counter()
    run(image=image)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"value": statistics.median(seconds[WARM_UP:])}))
