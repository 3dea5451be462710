"""Examples/s of our feed, cached and shuffled, in its second pass: growth_feed.py memory|disk COUNT."""

import json
import sys
import time

import pipelines
from benchmarks.timing.process import peak_mb
from zoo.core import environment, registry

environment.prepare()

BATCH = 256


def main(cache: str, count: int) -> dict[str, float]:
    """Read, cache and feed `count` examples: the images of Fashion-MNIST, repeated."""
    dataset = pipelines.load("fashion_mnist")
    task = registry.get_spec("fashion_mnist").task

    def decode(example):
        return task.preprocess(example["image"], dataset.info), example["label"]

    augment = pipelines.augment.policy("flip,shift", 10)
    examples = dataset.train.repeat().take(count)
    feed = pipelines.feed(examples, decode=decode, augment=augment, count=count, cache=cache)
    start = time.perf_counter()
    batches = iter(feed.epochs(BATCH, seed=0, stop=2))
    for _ in range(feed.steps(BATCH)):
        next(batches)
    filled = time.perf_counter()
    for _ in batches:
        pass
    seconds = time.perf_counter() - filled
    return {"value": count / seconds, "first pass s": filled - start, "peak MB": peak_mb(), "size": count}


print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
