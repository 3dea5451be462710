"""Characters/s of training one recurrent layer of the size of text_rnn: recurrent.py gru|lstm FORM.

FORM: layer (as in the zoo), unroll, time_major (`ops.scan` over the layer's cell, time first).
"""

import json
import sys
import time

from zoo.core import environment

environment.prepare()

import keras  # noqa: E402 - Keras is configured first
import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

BATCH, LENGTH, WIDTH, UNITS, WARM_UP, STEPS = 64, 128, 64, 256, 3, 12


class TimeMajor(layers.Layer):
    """Applies a recurrent layer's cell along the first axis."""

    def __init__(self, layer):
        super().__init__()
        self.cell, self.states = layer.cell, len(layer.cell.state_size) if layer.cell.name == "lstm_cell" else 1

    def call(self, x):
        x = ops.transpose(x, (1, 0, 2))
        initial = [ops.zeros((BATCH, UNITS)) for _ in range(self.states)]

        def step(states, inputs):
            new_states = list(self.cell(inputs, states)[1])
            return new_states, new_states  # on TensorFlow, outputs must have the structure of the states

        return ops.transpose(ops.scan(step, initial, x)[1][0], (1, 0, 2))


def main(cell: str, form: str) -> float:
    """Train some steps; return characters per second."""
    layer = {"gru": layers.GRU, "lstm": layers.LSTM}[cell](UNITS, return_sequences=True, unroll=form == "unroll")
    x = tf.random.normal((BATCH, LENGTH, WIDTH))
    layer.build(x.shape)
    run = TimeMajor(layer) if form == "time_major" else layer
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(run(x)))
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)

    for i in range(WARM_UP + STEPS):
        if i == WARM_UP:
            start = time.perf_counter()
        step()
    return BATCH * LENGTH * STEPS / (time.perf_counter() - start)


print(json.dumps({"value": main(*sys.argv[1:])}))
