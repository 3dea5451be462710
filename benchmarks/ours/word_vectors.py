"""Words/s of word2vec as `zoo.train` trains it, feed included."""

import json
import time

import keras

from zoo.core import environment

environment.prepare()

from zoo.core.plan import make_plan  # noqa: E402 - Keras is configured first
from zoo.training.compiling import compile_model  # noqa: E402

WARM_UP, STEPS = 20, 150


class Clock(keras.callbacks.Callback):
    """Measures the time of a range of steps."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == WARM_UP:
            self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == WARM_UP + STEPS - 1:
            self.seconds = time.perf_counter() - self.start


def main() -> float:
    """Train some steps; return the words of them per second."""
    plan = make_plan("word2vec", precision="float32", seed=0)
    dataset = plan.load_data()
    keras.utils.set_random_seed(0)
    model, batch_size, clock = plan.build(dataset.info), plan.recipe.batch_size, Clock()
    compile_model(model, plan, dataset.info, WARM_UP + STEPS)
    batches = plan.feed(dataset, "train", training=True).epochs(batch_size, seed=0, stop=1)
    model.fit(batches, steps_per_epoch=WARM_UP + STEPS, callbacks=[clock], verbose=0)
    return batch_size * STEPS / clock.seconds


print(json.dumps({"value": main()}))
