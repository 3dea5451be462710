"""Characters/s of `model.predict` in a loop on one core: keras_predict_loop.py step|window.

step: a Keras model of one token and the state, the cheapest thing that predict can be asked; window: the last 128
tokens each time, as many tutorials do.
"""

import json
import os
import sys
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import keras  # noqa: E402 - one core is chosen before TensorFlow starts its threads
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

WARM_UP, LENGTH, SIZE, UNITS, WINDOW = 5, 60, 65, 256, 128


def main(kind: str) -> float:
    """Write greedily; return characters a second."""
    tokens, state = keras.Input((None,), dtype="int32"), keras.Input((UNITS,))
    x = layers.Embedding(SIZE, 64)(tokens)
    x, after = layers.GRU(UNITS, return_state=True)(x, initial_state=state)
    model = keras.Model([tokens, state], [layers.Dense(SIZE)(x), after])
    held, written = np.zeros((1, UNITS), np.float32), [1] * WINDOW
    for i in range(WARM_UP + LENGTH):
        if i == WARM_UP:
            began = time.perf_counter()
        read = written[-1:] if kind == "step" else written[-WINDOW:]
        logits, after = model.predict([np.array([read], np.int32), held], verbose=0)
        held = after if kind == "step" else held
        written.append(int(logits[0].argmax()))
    return LENGTH / (time.perf_counter() - began)


print(json.dumps({"value": main(*sys.argv[1:])}))
