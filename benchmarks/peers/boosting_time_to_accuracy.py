"""Training seconds of gradient boosting on pixels to a test accuracy: boosting_time_to_accuracy.py ITERATIONS.

Source: HistGradientBoostingClassifier of scikit-learn, whose arguments but the number of iterations are the defaults.
The time is that of the whole `fit`, on all processors.
"""

import json
import os
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.timing.time_to_accuracy import AccuracyTimer


def main(iterations: str) -> dict:
    """Train; return the times."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    rows = {split: arrays[f"{split}_images"].reshape(len(arrays[f"{split}_images"]), -1) for split in ("train", "test")}
    seed = int(os.environ["BENCHMARK_TURN"])
    model = HistGradientBoostingClassifier(max_iter=int(iterations), early_stopping=False, random_state=seed)
    timer = AccuracyTimer()
    model.fit(rows["train"], arrays["train_labels"])
    timer.pause()
    timer.record(model.score(rows["test"], arrays["test_labels"]))
    return timer.result()


print(json.dumps(main(sys.argv[1])))
