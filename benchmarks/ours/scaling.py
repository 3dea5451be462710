"""Times of a training on workers of one core each: scaling.py step|feed|all_reduce|workers.

What one process does is measured in CPU time, which is the time on a core of its own whatever else runs on the machine.
"""

import json
import os
import sys
import time

INDEX = json.loads(os.environ["TF_CONFIG"])["task"]["index"] if "TF_CONFIG" in os.environ else 0
CORES = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {CORES[INDEX % len(CORES)]})  # before TensorFlow counts the cores

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from zoo.core import environment  # noqa: E402

environment.prepare()

import pipelines  # noqa: E402
from benchmarks.timing import fitting  # noqa: E402
from zoo.distribution.replicas import choose  # noqa: E402
from zoo.modeling.instance_methods import fused  # noqa: E402

NETWORK, PRECISION, POLICY = "resnet20", "float32", "flip,shift"
BATCH = 128
SIZES = (16, 64, 128)  # batches
BYTES = tuple(4**power for power in range(5, 13))  # 1 kB to 16 MB
STEPS, REPEATS = 8, 20


class Fastest(keras.callbacks.Callback):
    """Measures the shortest step by a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.seconds = clock, float("inf")

    def on_train_batch_begin(self, batch, logs=None):
        self.start = self.clock()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = min(self.seconds, self.clock() - self.start)


def fit(model, batches, clock):
    """Return the seconds of the shortest step."""
    fastest = Fastest(clock)
    with fused(model):
        model.fit(batches, steps_per_epoch=STEPS, callbacks=[fastest], verbose=0)
    return fastest.seconds


def step():
    """Return the seconds of a step on one constant batch, by size, and the bytes of the gradients."""
    seconds = {}
    for size in SIZES:
        model, batches = fitting.compiled(NETWORK, PRECISION, POLICY, size)
        seconds[size] = fit(model, fitting.constant(batches), time.process_time)
    return {"seconds": seconds, "bytes": 4 * sum(int(tf.size(v.value)) for v in model.trainable_variables)}


def feed():
    """Return the seconds for an example: to read it, in memory and on disk, and to augment it."""
    dataset = pipelines.load("fashion_mnist")

    def per_example(parts, cache):
        feed = pipelines.feed(
            dataset.train.take(20_000),
            decode=lambda example: (tf.io.decode_png(example["image"], channels=1), example["label"]),
            augment=pipelines.augment.policy(POLICY, 10),
            cache=cache,
        ).share(parts, range(1))
        times = []
        for epoch in range(4):
            start = time.process_time()
            for _ in feed.epochs(1000, seed=0, start=epoch, stop=epoch + 1):
                pass
            times.append(time.process_time() - start)
        return min(times) / feed.count

    whole, eighth, disk = per_example(1, "memory"), per_example(8, "memory"), per_example(8, "disk")
    augment = max(0.0, (whole - eighth) * 8 / 7)
    return {"memory": max(0.0, whole - augment), "disk": max(0.0, disk - augment / 8), "augment": augment}


def all_reduce():
    """Return the seconds of the sum of a float32 vector over both workers, by its bytes."""
    strategy, seconds = choose(None).strategy, {}
    for size in BYTES:
        vector = tf.zeros([size // 4])

        def total(vector):
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(vector))

        @tf.function
        def reduce(vector, total=total):
            return strategy.run(total, args=(vector,))

        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            strategy.experimental_local_results(reduce(vector))[0].numpy()
            times.append(time.perf_counter() - start)
        seconds[size] = min(times)
    return {"seconds": seconds}


def workers():
    """Return the seconds of a step of some workers, which share a batch, with the feed, by the clock."""
    replicas = choose(None)
    with replicas.scope():
        model, _ = fitting.compiled(NETWORK, PRECISION, POLICY, BATCH)
        plan = fitting.planned(POLICY, BATCH)
        feed = replicas.share(plan.feed(plan.load_data(), "train", training=True))
        replicas.adapt(model, feed, BATCH)
    batches = replicas.distribute(feed.epochs(BATCH, seed=0, stop=1))
    return {"batch": BATCH, "seconds": fit(model, batches, time.perf_counter)}


print(json.dumps({"step": step, "feed": feed, "all_reduce": all_reduce, "workers": workers}[sys.argv[1]]()))
