"""Salience of the original CREPE in Keras 2: crepe.py CAPACITY WEIGHTS.h5 FRAMES.npy SALIENCE.npy.

Source: github.com/marl/crepe, crepe/core.py (MIT), `build_and_load_model` and `get_activation`, in one dimension, as
the kernels of the file have it; the weights are loaded by the library's own reader.
"""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
from tf_keras.layers import BatchNormalization, Conv1D, Dense, Dropout, Flatten, Input, MaxPool1D, Reshape
from tf_keras.models import Model

capacity, weights, frames, salience = sys.argv[1:]
layers = [1, 2, 3, 4, 5, 6]
filters = [n * int(capacity) for n in [32, 4, 4, 4, 8, 16]]
widths = [512, 64, 64, 64, 64, 64]
strides = [4, 1, 1, 1, 1, 1]
x = Input(shape=(1024,), name="input", dtype="float32")
y = Reshape(target_shape=(1024, 1), name="input-reshape")(x)
for layer, count, width, stride in zip(layers, filters, widths, strides, strict=True):
    y = Conv1D(count, width, strides=stride, padding="same", activation="relu", name=f"conv{layer}")(y)
    y = BatchNormalization(name=f"conv{layer}-BN")(y)
    y = MaxPool1D(pool_size=2, strides=None, padding="valid", name=f"conv{layer}-maxpool")(y)
    y = Dropout(0.25, name=f"conv{layer}-dropout")(y)
y = Flatten(name="flatten")(y)
y = Dense(360, activation="sigmoid", name="classifier")(y)
model = Model(inputs=x, outputs=y)
model.load_weights(weights)
inputs = np.load(frames)
inputs = inputs - np.mean(inputs, axis=1)[:, np.newaxis]
inputs /= np.clip(np.std(inputs, axis=1)[:, np.newaxis], 1e-8, None)
np.save(salience, model.predict(inputs, verbose=0))
