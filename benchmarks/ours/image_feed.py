"""Images/s of our feed on a folder of photographs."""

import json
import os
from pathlib import Path

import pipelines
from benchmarks.timing.feeding import BATCH, PASSES, SIZE, measure_feed


def main() -> dict[str, float]:
    """Feed all images repeatedly."""
    root = Path(os.environ["BENCHMARK_DATA"]) / "photographs"
    dataset = pipelines.load("image_folder", data_dir=root, split="98/1/1")

    def decode(example):
        return pipelines.images.decode(example["image"], SIZE, SIZE, 3, "crop"), example["label"]

    augment = pipelines.augment.policy("photographs")
    feed = pipelines.feed(dataset.train, decode=decode, augment=augment, cache="none")
    return measure_feed(iter(feed.epochs(BATCH, seed=0, stop=1 + PASSES)), feed.steps(BATCH))


print(json.dumps(main()))
