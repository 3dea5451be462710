"""Images/s of `model.predict` on an array, batch 128, with the network of keras_fit.py: keras_predict.py."""

import json
import os
import time

import numpy as np

from benchmarks.peers.keras_fit import BATCH, fashion_mnist

COUNT = 50 * BATCH


def main() -> float:
    """Predict twice, of which the second is timed; return images per second."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    images, model = arrays["train_images"][:COUNT], fashion_mnist()
    model.predict(images, batch_size=BATCH, verbose=0)
    start = time.perf_counter()
    model.predict(images, batch_size=BATCH, verbose=0)
    return COUNT / (time.perf_counter() - start)


print(json.dumps({"value": main()}))
