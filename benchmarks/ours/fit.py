"""Images/s of training as in `zoo.train`: our feed, fused batch normalisation.

fit.py NETWORK PRECISION POLICY [constant]     "constant" repeats one batch: the upper bound of any feed
"""

import json
import sys

from zoo.core import environment

environment.prepare()

from benchmarks.timing import fitting  # noqa: E402 - Keras is configured first
from benchmarks.timing.step_clock import StepClock  # noqa: E402
from zoo.modeling.instance_methods import fused  # noqa: E402

WARM_UP, STEPS = 20, 80


def main(network: str, precision: str, policy: str, *constant: str) -> float:
    """Train some steps; return images per second."""
    model, batches = fitting.compiled(network, precision, policy)
    if constant:
        batches = fitting.constant(batches)
    clock = StepClock(WARM_UP, STEPS)
    with fused(model):
        model.fit(batches, steps_per_epoch=WARM_UP + STEPS, callbacks=[clock], verbose=0)
    return fitting.BATCH * STEPS / clock.seconds


print(json.dumps({"value": main(*sys.argv[1:])}))
