"""Latency of a Keras model in Python: keras_infer.py predict|call|function.

Source: https://keras.io/api/models/model_training_apis/ and the section on predict() and __call__() there.
"""

import json
import os
import sys
from pathlib import Path

import keras
import tensorflow as tf

from benchmarks.timing import latency


def load(method: str):
    """Load the .keras file; return a function of images."""
    model = keras.saving.load_model(Path(os.environ["BENCHMARK_DATA"]) / "inference" / "model.keras")
    if method == "predict":
        return lambda images: model.predict(images, verbose=0)
    if method == "call":
        return lambda images: model(images, training=False).numpy()
    function = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, 28, 28, 1))])
    return lambda images: function(tf.constant(images)).numpy()


print(json.dumps(latency.measure(lambda: load(sys.argv[1]))))
