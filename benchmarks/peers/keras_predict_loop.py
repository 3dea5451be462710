"""Characters/s of `model.predict` in a loop on one core: keras_predict_loop.py step|window.

step: a Keras model of one token and the state, the cheapest form; window: the last 128 tokens each time, as in many
tutorials.
"""

import json
import os
import sys
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import keras  # noqa: E402 - the core is set before TensorFlow starts threads
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

WARM_UP, LENGTH, SIZE, UNITS, WINDOW = 5, 60, 65, 256, 128


def main(kind: str) -> float:
    """Generate greedily; return characters per second."""
    tokens, state = keras.Input((None,), dtype="int32"), keras.Input((UNITS,))
    x = layers.Embedding(SIZE, 64)(tokens)
    x, next_state = layers.GRU(UNITS, return_state=True)(x, initial_state=state)
    model = keras.Model([tokens, state], [layers.Dense(SIZE)(x), next_state])
    current, tokens_so_far = np.zeros((1, UNITS), np.float32), [1] * WINDOW
    for i in range(WARM_UP + LENGTH):
        if i == WARM_UP:
            start = time.perf_counter()
        window = tokens_so_far[-1:] if kind == "step" else tokens_so_far[-WINDOW:]
        logits, next_state = model.predict([np.array([window], np.int32), current], verbose=0)
        current = next_state if kind == "step" else current
        tokens_so_far.append(int(logits[0].argmax()))
    return LENGTH / (time.perf_counter() - start)


print(json.dumps({"value": main(*sys.argv[1:])}))
