"""Training seconds of fashion_mnist to a test accuracy: time_to_accuracy.py TARGET,... [FIELD=VALUE]...

The default recipe with other values of some fields; training ends at the last TARGET. The precision is that of `auto`
on this machine.
"""

import json
import math
import os
import sys

import keras

from zoo.core import environment

environment.prepare()

from benchmarks.timing.time_to_accuracy import SECONDS, AccuracyTimer  # noqa: E402 - Keras is configured first
from zoo.cli.options import parse_settings  # noqa: E402
from zoo.core.plan import make_plan  # noqa: E402
from zoo.modeling.instance_methods import fused  # noqa: E402
from zoo.training import autotune  # noqa: E402
from zoo.training.compiling import compile_model  # noqa: E402
from zoo.training.trainer import initial_model  # noqa: E402
from zoobase.console import Console  # noqa: E402

FIRST_SEED = 10  # those below were used when the settings were chosen


class TestAccuracy(keras.callbacks.Callback):
    """Evaluates the test split after every epoch: images as they are, and the mean of the logits with mirrored ones."""

    def __init__(self, timer, mirrored, images, labels):
        super().__init__()
        self.timer, self.mirrored, self.images, self.labels = timer, mirrored, images, labels

    def on_epoch_end(self, epoch, logs=None):
        self.timer.pause()
        self.mirrored.pause()
        logits = self.model.predict(self.images, batch_size=256, verbose=0)
        both = logits + self.model.predict(self.images[:, :, ::-1], batch_size=256, verbose=0)
        accuracies = [float((values.argmax(-1) == self.labels).mean()) for values in (logits, both)]
        self.mirrored.record(accuracies[1])
        self.model.stop_training = self.timer.record(accuracies[0])


def main(targets: str, *fields: str) -> dict:
    """Train; return the times."""
    seed = FIRST_SEED + int(os.environ["BENCHMARK_TURN"])
    plan = make_plan("fashion_mnist", settings=parse_settings(fields), seed=seed)
    dataset, recipe = plan.load_data(), plan.recipe
    plan = autotune.choose_precision(plan, dataset, Console(quiet=True))
    training = plan.feed(dataset, "train", training=True)
    steps = training.steps(recipe.batch_size)
    images, labels = next(plan.feed(dataset, "test").batches(10_000).as_numpy_iterator())[:2]
    timer, mirrored = (AccuracyTimer([float(target) for target in targets.split(",")]) for _ in range(2))
    model = initial_model(plan, dataset)
    compile_model(model, plan, dataset.info, steps * recipe.epochs)
    batches = training.epochs(recipe.batch_size, seed=seed, stop=recipe.epochs)
    with fused(model):
        model.fit(
            batches,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            callbacks=[TestAccuracy(timer, mirrored, images, labels)],
            shuffle=False,
            verbose=0,
        )
    last = mirrored.targets[-1]
    seconds = mirrored.reached.get(last, math.inf)
    return timer.result() | {f"{SECONDS.format(last)} with mirrored": seconds, "best with mirrored": mirrored.best}


print(json.dumps(main(*sys.argv[1:])))
