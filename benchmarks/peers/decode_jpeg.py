"""Images/s of `tf.io.decode_jpeg` alone, at the DCT scale that still covers 224x224: the upper bound of any feed.

Source: https://www.tensorflow.org/api_docs/python/tf/io/decode_jpeg
"""

import json
import os
from pathlib import Path

import tensorflow as tf

from benchmarks.timing.feeding import BATCH, measure_feed

RATIO = 4


def main() -> dict[str, float]:
    """Decode all images repeatedly."""
    files = sorted(map(str, (Path(os.environ["BENCHMARK_DATA"]) / "photographs").rglob("*.jpg")))
    data = tf.data.Dataset.from_tensor_slices(files)
    data = data.map(lambda file: tf.io.decode_jpeg(tf.io.read_file(file), 3, ratio=RATIO), tf.data.AUTOTUNE)
    data = data.map(lambda image: (0, image[0, 0, 0])).batch(
        BATCH
    )  # one pixel of each, to exclude the time of batching
    return measure_feed(iter(data.repeat()), len(data))


print(json.dumps(main()))
