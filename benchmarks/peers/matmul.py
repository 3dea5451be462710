"""Images/s of training if it consisted only of large matrix multiplications: matmul.py NETWORK PRECISION.

Source: https://www.tensorflow.org/api_docs/python/tf/linalg/matmul
"""

import json
import sys
import time

import tensorflow as tf

from benchmarks.timing import networks

SIDE, SECONDS = 2048, 3.0


def main(network: str, precision: str) -> dict[str, float]:
    """Multiply two square matrices repeatedly; return the images per second of the fastest time."""
    a, b = (tf.cast(tf.random.normal((SIDE, SIDE)), precision) for _ in range(2))
    best, ends = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < ends:
        start = time.perf_counter()
        tf.matmul(a, b)[0, 0].numpy()
        best = min(best, time.perf_counter() - start)
    peak = 2e-9 * SIDE**3 / best
    return {"value": peak / networks.training_gigaflops(networks.build(network)), "GFLOP/s": peak}


print(json.dumps(main(*sys.argv[1:])))
