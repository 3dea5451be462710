"""Seconds that `model.predict` of style_transfer takes for one image of 512x512; the median of a few."""

import json
import os
import statistics
import time
from pathlib import Path

import keras
import numpy as np

import zoo.models.style_transfer  # noqa: F401 - the classes that the file names

SIDE, WARM_UP, TIMES = 512, 2, 7

model = keras.saving.load_model(Path(os.environ["BENCHMARK_DATA"]) / "style_transfer" / "model.keras")
image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
seconds = []
for _ in range(WARM_UP + TIMES):
    began = time.perf_counter()
    model.predict(image, verbose=0)
    seconds.append(time.perf_counter() - began)
print(json.dumps({"value": statistics.median(seconds[WARM_UP:])}))
