"""Where a step of `training` goes, by kind of operation: python -m benchmarks.profile_step NETWORK PRECISION [BATCH].

What the TensorFlow profiler saw of ten steps (https://www.tensorflow.org/guide/profiler). Operations that run side by
side on two cores are counted both, so that the sum is longer than the step.
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
from zoo.modeling.layers import fused  # noqa: E402

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
    """Return (kind, milliseconds a step, operations a step) of a trace, the longest first."""
    space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    milliseconds, counts = collections.Counter(), collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            called, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
            if kind.isidentifier() and called and not called.endswith(":"):  # an operation, no method of the runtime
                milliseconds[kind] += event.duration_ps / 1e9 / STEPS
                counts[kind] += 1 / STEPS
    return [(kind, spent, counts[kind]) for kind, spent in milliseconds.most_common(SHOWN)]


def main(network: str, precision: str, batch: str = str(fitting.BATCH)) -> None:
    """Print the longest kinds."""
    with tempfile.TemporaryDirectory() as folder:
        trace(network, precision, int(batch), folder)
        for kind, spent, count in by_kind(folder):
            print(f"{spent:8.2f} ms a step  {count:6.1f} times  {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
