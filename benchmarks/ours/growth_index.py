"""Seconds to load a folder of image files, or shards of it, and to read it once: growth_index.py STEP COUNT."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import tensorflow as tf

import pipelines
from benchmarks.timing.process import peak_mb

BATCH = 256
DATA = Path(os.environ["BENCHMARK_DATA"])


def read_once(dataset: pipelines.Dataset) -> float:
    """Return the seconds of one shuffled pass over the training split, without a cache."""

    def decode(example):
        return tf.io.decode_png(example["image"], channels=1), example["label"]

    feed = pipelines.feed(dataset.train, decode=decode, cache="none")
    start = time.perf_counter()
    for _ in feed.epochs(BATCH, seed=0, stop=1):
        pass
    return time.perf_counter() - start


def main(step: str, count: int) -> dict[str, float]:
    """Measure one step; "again", "write" and "shards" use what the steps before them left."""
    cache, shards = DATA / "tiny_images_cache" / str(count), DATA / "tiny_images_shards" / str(count)
    if step == "first":
        shutil.rmtree(cache, ignore_errors=True)
    start = time.perf_counter()
    if step == "shards":
        dataset = pipelines.load("shards", shards, cache)
    else:
        dataset = pipelines.load("image_folder", DATA / "tiny_images" / str(count), cache)
    loaded = time.perf_counter()
    result = {"value": loaded - start, "size": count}
    if step == "write":
        shutil.rmtree(shards, ignore_errors=True)
        pipelines.write_shards(dataset, shards, shards=max(1, count // 10_000))
        result["value"] = time.perf_counter() - loaded
    elif step != "first":
        result["one pass s"] = read_once(dataset)
    return result | {"peak MB": peak_mb()}


print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
