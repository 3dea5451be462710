"""Images/s of our feed on a folder of photographs."""

import json
import os
import time
from pathlib import Path

import pipelines

SIZE, BATCH, PASSES = 224, 32, 4


def main() -> dict[str, float]:
    """Feed all pictures again and again; return images a second, and CPU time an image, after the first pass."""
    root = Path(os.environ["BENCHMARK_DATA"]) / "photographs"
    dataset = pipelines.load("image_folder", data_dir=root, split="98/1/1")

    def decode(example):
        return pipelines.images.decode(example["image"], SIZE, SIZE, 3, "crop"), example["label"]

    augment = pipelines.augment.policy("photographs")
    feed = pipelines.feed(dataset.train, decode=decode, augment=augment, cache="none")
    batches = iter(feed.epochs(BATCH, seed=0, stop=1 + PASSES))
    for _ in range(feed.steps(BATCH)):  # traces, fills the disk cache
        next(batches)
    began, used = time.perf_counter(), time.process_time()
    count = sum(len(labels) for _, labels in batches)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    return {"value": count / seconds, "CPU ms an image": 1000 * used / count}


print(json.dumps(main()))
