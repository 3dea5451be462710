"""Words/s of word2vec as `zoo.train` trains it, feed included."""

import json

import numpy as np

from zoo.core import environment

environment.prepare()

from benchmarks.timing.step_clock import StepClock  # noqa: E402 - Keras is configured first
from zoo.core.plan import make_plan  # noqa: E402
from zoo.training.compiling import compile_model  # noqa: E402
from zoo.training.trainer import initial_model  # noqa: E402

WARM_UP, STEPS = 20, 300


def main() -> dict[str, float]:
    """Train some steps; return the words of them per second."""
    plan = make_plan("word2vec", precision="float32", seed=0)
    dataset = plan.load_data()
    model, batch_size, clock = initial_model(plan, dataset), plan.recipe.batch_size, StepClock(WARM_UP, STEPS)
    compile_model(model, plan, dataset.info, WARM_UP + STEPS)
    batches = plan.feed(dataset, "train", training=True).epochs(batch_size, seed=0, stop=1)
    model.fit(batches, steps_per_epoch=WARM_UP + STEPS, callbacks=[clock], verbose=0)
    window = plan.task.window
    words = sum(np.count_nonzero(y["ids"][:, window:-window]) for _, y in batches.skip(WARM_UP).take(STEPS))
    return {"value": words / clock.seconds, "CPU seconds a million words": 1e6 * clock.cpu_seconds / words}


print(json.dumps(main()))
