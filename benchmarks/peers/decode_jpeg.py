"""Images/s of `tf.io.decode_jpeg` alone, at the DCT scale that still covers 224x224: what any feed could reach at best.

Source: https://www.tensorflow.org/api_docs/python/tf/io/decode_jpeg
"""

import json
import os
from pathlib import Path

import tensorflow as tf

from benchmarks.timing.feeding import BATCH, told

RATIO = 4


def main() -> dict[str, float]:
    """Decode all pictures again and again."""
    files = sorted(map(str, (Path(os.environ["BENCHMARK_DATA"]) / "photographs").rglob("*.jpg")))
    data = tf.data.Dataset.from_tensor_slices(files)
    data = data.map(lambda file: tf.io.decode_jpeg(tf.io.read_file(file), 3, ratio=RATIO), tf.data.AUTOTUNE)
    data = data.map(lambda image: (0, image[0, 0, 0])).batch(BATCH)  # one number of each: batching is not decoding
    return told(iter(data.repeat()), len(data))


print(json.dumps(main()))
