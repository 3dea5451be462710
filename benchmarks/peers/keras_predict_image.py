"""Median seconds of `model.predict` of style_transfer for one image of 512x512."""

import json
import os
import statistics
import time
from pathlib import Path

import keras
import numpy as np

import zoo.models.style_transfer  # noqa: F401 - registers the classes of the file

SIDE, WARM_UP, TIMES = 512, 2, 7

model = keras.saving.load_model(Path(os.environ["BENCHMARK_DATA"]) / "style_transfer" / "model.keras")
image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
seconds = []
for _ in range(WARM_UP + TIMES):
    start = time.perf_counter()
    model.predict(image, verbose=0)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"value": statistics.median(seconds[WARM_UP:])}))
