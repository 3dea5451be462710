"""Training seconds of fashion_mnist to a test accuracy: time_to_accuracy.py TARGET,... [FIELD=VALUE]...

The default recipe with other values of some fields; training ends at the last TARGET. The precision is that of `auto`
on this machine.
"""

import json
import os
import sys

import keras

from zoo.core import environment

environment.prepare()

from benchmarks.timing.time_to_accuracy import AccuracyTimer  # noqa: E402 - Keras is configured first
from commandline.console import Console  # noqa: E402
from zoo.cli.options import settings  # noqa: E402
from zoo.core.plan import make_plan  # noqa: E402
from zoo.modeling.layers import fused  # noqa: E402
from zoo.training import autotune  # noqa: E402
from zoo.training.compiling import compile_model  # noqa: E402

FIRST_SEED = 10  # those below were used when the settings were chosen


class TestAccuracy(keras.callbacks.Callback):
    """Evaluates the test split after every epoch."""

    def __init__(self, timer, test):
        super().__init__()
        self.timer, self.test = timer, test

    def on_epoch_end(self, epoch, logs=None):
        self.timer.pause()
        logs = self.model.evaluate(self.test, verbose=0, return_dict=True)
        self.model.stop_training = self.timer.record(logs["accuracy"])


def main(targets: str, *fields: str) -> dict:
    """Train; return the times."""
    seed = FIRST_SEED + int(os.environ["BENCHMARK_TURN"])
    plan = make_plan("fashion_mnist", settings=settings(fields), seed=seed)
    dataset, recipe = plan.load_data(), plan.recipe
    plan = autotune.choose_precision(plan, dataset, Console(quiet=True))
    keras.utils.set_random_seed(seed)
    training = plan.feed(dataset, "train", training=True)
    steps, test = training.steps(recipe.batch_size), plan.feed(dataset, "test").batches(256)
    timer = AccuracyTimer([float(target) for target in targets.split(",")])
    with environment.dtype_policy(plan.precision):
        model = plan.build(dataset.info)
    compile_model(model, plan, dataset.info, steps * recipe.epochs)
    batches = training.epochs(recipe.batch_size, seed=seed, stop=recipe.epochs)
    with fused(model):
        model.fit(
            batches,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            callbacks=[TestAccuracy(timer, test)],
            shuffle=False,
            verbose=0,
        )
    return timer.result()


print(json.dumps(main(*sys.argv[1:])))
