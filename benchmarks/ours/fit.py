"""Images/s of training as in `zoo.train`: our feed, fused batch normalisation.

fit.py NETWORK PRECISION POLICY [constant]     "constant" repeats one batch: the upper bound of any feed
"""

import json
import sys
import time

import keras

from zoo.core import environment

environment.prepare()

from benchmarks.timing import fitting  # noqa: E402 - Keras is configured first
from zoo.modeling.layers import fused  # noqa: E402

WARM_UP, STEPS = 20, 80


class Clock(keras.callbacks.Callback):
    """Measures the time of a range of steps."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == WARM_UP:
            self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == WARM_UP + STEPS - 1:
            self.seconds = time.perf_counter() - self.start


def main(network: str, precision: str, policy: str, *constant: str) -> float:
    """Train some steps; return images per second."""
    model, batches = fitting.compiled(network, precision, policy)
    if constant:
        batches = fitting.constant(batches)
    clock = Clock()
    with fused(model):
        model.fit(batches, steps_per_epoch=WARM_UP + STEPS, callbacks=[clock], verbose=0)
    return fitting.BATCH * STEPS / clock.seconds


print(json.dumps({"value": main(*sys.argv[1:])}))
