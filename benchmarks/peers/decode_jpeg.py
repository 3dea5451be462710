"""Images/s of `tf.io.decode_jpeg` alone, at the DCT scale that still covers 224x224: what any feed could reach at best.

Source: https://www.tensorflow.org/api_docs/python/tf/io/decode_jpeg
"""

import json
import os
import time
from pathlib import Path

import tensorflow as tf

BATCH, PASSES, RATIO = 32, 4, 4


def main() -> dict[str, float]:
    """Decode all pictures again and again; return images a second, and CPU time an image, after the first pass."""
    files = sorted(map(str, (Path(os.environ["BENCHMARK_DATA"]) / "photographs").rglob("*.jpg")))
    data = tf.data.Dataset.from_tensor_slices(files)
    data = data.map(lambda file: tf.io.decode_jpeg(tf.io.read_file(file), 3, ratio=RATIO), tf.data.AUTOTUNE)
    data = data.map(lambda image: image[0, 0, :1]).batch(BATCH)  # one number of each: batching is not decoding
    sum(1 for _ in data)  # traces, fills the disk cache, starts workers
    began, used = time.perf_counter(), time.process_time()
    count = sum(len(batch) for _ in range(PASSES) for batch in data)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    return {"value": count / seconds, "CPU ms an image": 1000 * used / count}


print(json.dumps(main()))
