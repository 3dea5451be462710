"""Images/s of training as `zoo.train` does: our feed, fused batch normalisation.

fit.py NETWORK PRECISION POLICY [constant]     the last word feeds the same batch again and again: the bound of any feed
"""

import json
import sys
import time

import keras
import tensorflow as tf

from zoo import environment

environment.prepare()

from benchmarks import networks  # noqa: E402 - Keras is configured first
from zoo.layers import fused  # noqa: E402
from zoo.plan import make_plan  # noqa: E402
from zoo.speed import computing_in  # noqa: E402

WARM_UP, STEPS = 20, 80
PEERS = {"recipe.batch_size": 128, "recipe.optimizer": "adamw"}  # as they train


class Clock(keras.callbacks.Callback):
    """Takes the time between two steps."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == WARM_UP:
            self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == WARM_UP + STEPS - 1:
            self.seconds = time.perf_counter() - self.began


def main(network: str, precision: str, policy: str, *constant: str) -> float:
    """Train some steps; return images a second."""
    plan = make_plan("fashion_mnist", settings={"recipe.augment": policy, **PEERS})
    dataset, size = plan.load_data(), plan.recipe.batch_size
    with computing_in(precision):
        model = networks.build(network)
    plan.task.compile(model, plan.recipe, dataset.info, 5000)
    batches = plan.feed(dataset, "train", training=True).epochs(size, seed=0, stop=1)
    if constant:
        batches = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    clock = Clock()
    with fused(model):
        model.fit(batches, steps_per_epoch=WARM_UP + STEPS, callbacks=[clock], verbose=0)
    return size * STEPS / clock.seconds


print(json.dumps({"value": main(*sys.argv[1:])}))
