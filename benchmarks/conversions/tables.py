"""A network of a table in Keras, and in plain TensorFlow operators."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.conversions import Conversion, trained

EDGES = (-1.0, 0.0, 0.5, 2.0)
BUGS = {
    "bin_edge": "a value on the edge of a bin belongs to the bin below instead of the one above",
    "clipped": "normalised values are clipped to [-3, 3], which the training data never left",
    "ties": "of classes with equal scores the last one is returned instead of the first",
}


def table() -> Any:
    """Return the Keras model: numbers (B, 4) float32, kind (B, 1) int32 -> scores (B, 4) and the class (B,)."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(5)
    numbers = keras.Input((4,), name="numbers")
    kind = keras.Input((1,), dtype="int32", name="kind")
    bins = layers.Discretization(bin_boundaries=list(EDGES), output_mode="one_hot")(numbers[:, :1])
    x = layers.Normalization(mean=[0.0, 1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0, 16.0])(numbers)
    kinds = layers.Flatten()(layers.Embedding(6, 3, name="kinds")(kind))
    x = layers.Concatenate()([x, ops.cast(bins, "float32"), kinds])
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    scores = layers.Dense(4, name="scores", activation="relu")(x)
    return trained(keras.Model([numbers, kind], {"scores": scores, "best": ops.argmax(scores, axis=-1)}))


def table_port(w: Mapping[str, np.ndarray], bug: str | None) -> Callable[..., Any]:
    """Return the network in TensorFlow operators, with one bug or none."""
    import tensorflow as tf

    def call(numbers: Any, kind: Any) -> Any:
        edges = tf.constant(EDGES)
        above = numbers[:, :1] > edges if bug == "bin_edge" else numbers[:, :1] >= edges
        bins = tf.one_hot(tf.reduce_sum(tf.cast(above, tf.int32), 1), 5)
        x = (numbers - tf.constant([0.0, 1.0, 2.0, 3.0])) / tf.constant([1.0, 2.0, 3.0, 4.0])
        x = tf.clip_by_value(x, -3.0, 3.0) if bug == "clipped" else x
        x = tf.concat([x, bins, tf.gather(w["kinds/embeddings"], kind[:, 0])], 1)
        x = tf.nn.relu(tf.matmul(x, w["hidden/kernel"]) + w["hidden/bias"])
        scores = tf.nn.relu(tf.matmul(x, w["scores/kernel"]) + w["scores/bias"])
        best = 3 - tf.argmax(scores[:, ::-1], -1, tf.int32) if bug == "ties" else tf.argmax(scores, -1, tf.int32)
        return {"scores": scores, "best": best}

    return call


TABLE = Conversion(
    table, table_port, {"numbers": ("float32", (4,), None), "kind": ("int32", (1,), 6)}, "saved_model", BUGS
)
