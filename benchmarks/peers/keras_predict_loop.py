"""Characters per second of CPU time of `model.predict` in a loop on one core: keras_predict_loop.py step|window.

The model is of the size of text_rnn with its shipped weights. step: of one token and the state, the cheapest form;
window: of the last 128 tokens each time, as in many tutorials.
"""

import json
import os
import sys
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import keras  # noqa: E402 - the core is set before TensorFlow starts threads
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

WARM_UP, LENGTH, SIZE, UNITS, WINDOW = 5, 60, 77, 512, 128


def main(kind: str) -> float:
    """Generate greedily; return characters per CPU second."""
    tokens, state = keras.Input((None,), dtype="int32"), keras.Input((UNITS,))
    x = layers.Embedding(SIZE, 64)(tokens)
    x, next_state = layers.GRU(UNITS, return_state=True)(x, initial_state=state)
    model = keras.Model([tokens, state], [layers.Dense(SIZE)(x), next_state])
    current, tokens_so_far = np.zeros((1, UNITS), np.float32), [1] * WINDOW
    for i in range(WARM_UP + LENGTH):
        if i == WARM_UP:
            start = time.process_time()
        window = tokens_so_far[-1:] if kind == "step" else tokens_so_far[-WINDOW:]
        logits, next_state = model.predict([np.array([window], np.int32), current], verbose=0)
        current = next_state if kind == "step" else current
        tokens_so_far.append(int(logits[0].argmax()))
    return LENGTH / (time.process_time() - start)


print(json.dumps({"value": main(*sys.argv[1:])}))
