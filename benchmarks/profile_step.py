"""Time of a step of `training` by kind of operation: python -m benchmarks.profile_step NETWORK PRECISION [BATCH].

Uses the TensorFlow profiler on ten steps (https://www.tensorflow.org/guide/profiler). Operations that run in parallel
on two cores are both counted, so that the sum exceeds the time of the step.
"""

import collections
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

from zoo.core import environment

environment.prepare()

from tensorflow.tsl.profiler.protobuf import xplane_pb2  # noqa: E402 - TensorFlow has no public reader of its traces

from benchmarks.timing import fitting  # noqa: E402 - Keras is configured first
from zoo.modeling.instance_methods import fused  # noqa: E402

WARM_UP, STEPS, SHOWN = 30, 10, 16


def trace(network: str, precision: str, batch: int, folder: str) -> None:
    """Train as `ours/fit.py` does and write the trace of the last STEPS to `folder`."""
    model, batches = fitting.compiled(network, precision, "none", batch)
    batches = fitting.constant(batches)
    with fused(model):
        model.fit(batches, steps_per_epoch=WARM_UP, verbose=0)
        with tf.profiler.experimental.Profile(folder):
            model.fit(batches, steps_per_epoch=STEPS, verbose=0)


def by_kind(folder: str) -> list[tuple[str, float, float]]:
    """Return (kind, milliseconds per step, operations per step) of a trace, the longest first."""
    space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    milliseconds, counts = collections.Counter(), collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
            if kind.isidentifier() and name and not name.endswith(":"):  # an operation, not a method of the runtime
                milliseconds[kind] += event.duration_ps / 1e9 / STEPS
                counts[kind] += 1 / STEPS
    return [(kind, time, counts[kind]) for kind, time in milliseconds.most_common(SHOWN)]


def main(network: str, precision: str, batch: str = str(fitting.BATCH)) -> None:
    """Print the kinds of operations with the longest total time."""
    with tempfile.TemporaryDirectory() as folder:
        trace(network, precision, int(batch), folder)
        for kind, time, count in by_kind(folder):
            print(f"{time:8.2f} ms per step  {count:6.1f} times  {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
