"""Two networks of token ids in Keras, and in plain TensorFlow operators: a transformer and a recurrent one."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.conversions import Conversion, trained

IDS, LENGTH, SIZE, HEADS = 2000, 12, 16, 2
TRANSFORMER_BUGS = {
    "layer_norm_epsilon": "layer normalisation has epsilon 1e-5, as PyTorch has, instead of 1e-3",
    "layer_norm_axis": "layer normalisation over the positions instead of the features",
    "gelu_tanh": "GELU by the approximation with tanh instead of erf",
    "padding_mask": "the mask of the padding is missing",
    "causal_mask": "the causal mask is off by one: each position sees the next one",
    "attention_scale": "attention is scaled by the width of the model instead of that of a head",
    "untied": "the output has an older copy of the embedding instead of the embedding itself",
    "dead_row": "the row of one of 2,000 tokens is zero",
    "shifted_id": "two neighboring tokens of 2,000 have each other's rows",
    "mask_of_first_row": "the mask of the first row of a batch is applied to all",
}
RECURRENT_BUGS = {
    "lstm_gates": "the gates of the LSTM are in the order of ONNX (i, o, f, c) instead of i, f, c, o",
    "gru_reset": "the GRU applies its reset gate before the matrix product",
    "mask_ignored": "the recurrent layers run through the padding instead of keeping their state",
}


def transformer() -> Any:
    """Return the Keras model: ids (B, 12) int32, 0 is padding -> logits (B, 12, 2000), by the embedding's own rows."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    table = layers.ReversibleEmbedding(IDS, SIZE, mask_zero=True, name="tokens", embeddings_initializer="normal")
    x = layers.LayerNormalization(name="norm_1")(table(ids))
    x = x + layers.MultiHeadAttention(HEADS, SIZE // HEADS, name="attention")(x, x, use_causal_mask=True)
    y = layers.Dense(2 * SIZE, activation="gelu", name="inner")(layers.LayerNormalization(name="norm_2")(x))
    x = x + layers.Dense(SIZE, name="outer")(y)
    return trained(keras.Model(ids, table(x, reverse=True)))


def transformer_port(w: Mapping[str, np.ndarray], bug: str | None) -> Callable[..., Any]:
    """Return the transformer in TensorFlow operators, with one bug or none."""
    import tensorflow as tf

    table = w["tokens/embeddings"].copy()
    reverse = table + np.random.default_rng(0).normal(0, 0.002, table.shape) if bug == "untied" else table
    table, reverse = table.astype(np.float32), reverse.astype(np.float32)
    if bug == "dead_row":
        table = table * (np.arange(IDS) != 1234)[:, None].astype(np.float32)
    if bug == "shifted_id":
        order = np.arange(IDS)
        order[[1234, 1235]] = 1235, 1234
        table = table[order]
    width = SIZE if bug == "attention_scale" else SIZE // HEADS

    def norm(x: Any, name: str) -> Any:
        axis, epsilon = (1 if bug == "layer_norm_axis" else -1), (1e-5 if bug == "layer_norm_epsilon" else 1e-3)
        center = tf.reduce_mean(x, axis, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - center), axis, keepdims=True)
        return (x - center) * tf.math.rsqrt(variance + epsilon) * w[f"{name}/gamma"] + w[f"{name}/beta"]

    def call(ids: Any) -> Any:
        x = norm(tf.gather(table, ids), "norm_1")
        query, key, value = (
            tf.einsum("btd,dhk->bhtk", x, w[f"{part}/kernel"]) + w[f"{part}/bias"][:, None]
            for part in ("query", "key", "value")
        )
        scores = tf.matmul(query, key, transpose_b=True) / width**0.5
        allowed = np.tril(np.ones((LENGTH, LENGTH), bool), 1 if bug == "causal_mask" else 0)[None]
        if bug != "padding_mask":
            padding = tf.not_equal(ids[:1] if bug == "mask_of_first_row" else ids, 0)
            allowed = tf.logical_and(tf.logical_and(allowed, padding[:, None]), padding[:, :, None])
        else:
            allowed = tf.constant(allowed)
        scores = scores + tf.where(allowed, 0.0, -1e9)[:, None]
        mixed = tf.matmul(tf.nn.softmax(scores), value)
        x = x + tf.einsum("bhtk,hkd->btd", mixed, w["attention_output/kernel"]) + w["attention_output/bias"]
        y = tf.matmul(norm(x, "norm_2"), w["inner/kernel"]) + w["inner/bias"]
        y = tf.nn.gelu(y, approximate=bug == "gelu_tanh")
        x = x + tf.matmul(y, w["outer/kernel"]) + w["outer/bias"]
        return tf.matmul(x, tf.constant(reverse.T))

    return call


def recurrent() -> Any:
    """Return the Keras model: ids (B, 12) int32, 0 is padding -> scores (B, 3)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = layers.Embedding(50, 8, mask_zero=True, name="tokens", embeddings_initializer="normal")(ids)
    x = layers.LSTM(6, return_sequences=True, name="lstm")(x)
    x = layers.GRU(5, name="gru")(x)
    return trained(keras.Model(ids, layers.Dense(3, name="scores")(x)))


def recurrent_port(w: Mapping[str, np.ndarray], bug: str | None) -> Callable[..., Any]:
    """Return the recurrent network in TensorFlow operators, unrolled, with one bug or none."""
    import tensorflow as tf

    def call(ids: Any) -> Any:
        x = tf.unstack(tf.gather(w["tokens/embeddings"], ids), LENGTH, 1)
        real = tf.unstack(tf.not_equal(ids, 0), LENGTH, 1)
        h, c, g = (tf.zeros([tf.shape(ids)[0], units]) for units in (6, 6, 5))
        for step, mask in zip(x, real, strict=True):
            mask = tf.ones_like(mask) if bug == "mask_ignored" else mask
            gates = tf.split(
                tf.matmul(step, w["lstm_cell/kernel"])
                + tf.matmul(h, w["lstm_cell/recurrent_kernel"])
                + w["lstm_cell/bias"],
                4,
                1,
            )
            i, f, n, o = (gates[k] for k in ((0, 2, 3, 1) if bug == "lstm_gates" else (0, 1, 2, 3)))
            cell = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(n)
            keep = mask[:, None]
            c, h = tf.where(keep, cell, c), tf.where(keep, tf.sigmoid(o) * tf.tanh(cell), h)
            g = tf.where(keep, _gru(w, h, g, bug), g)
        return tf.matmul(g, w["scores/kernel"]) + w["scores/bias"]

    return call


def _gru(w: Mapping[str, np.ndarray], x: Any, state: Any, bug: str | None) -> Any:
    import tensorflow as tf

    recurrent_kernel, (bias, recurrent_bias) = w["gru_cell/recurrent_kernel"], w["gru_cell/bias"]
    z, r, n = tf.split(tf.matmul(x, w["gru_cell/kernel"]) + bias, 3, 1)
    inner = tf.matmul(state, recurrent_kernel) + recurrent_bias
    z, r = tf.sigmoid(z + inner[:, :5]), tf.sigmoid(r + inner[:, 5:10])
    if bug == "gru_reset":
        n = n + tf.matmul(r * state, recurrent_kernel[:, 10:]) + recurrent_bias[10:]
    else:
        n = n + r * inner[:, 10:]
    return z * state + (1 - z) * tf.tanh(n)


IDS_INPUT = {"ids": ("int32", (LENGTH,), IDS)}
TRANSFORMER = Conversion(transformer, transformer_port, IDS_INPUT, "tflite", TRANSFORMER_BUGS)
RECURRENT = Conversion(recurrent, recurrent_port, {"ids": ("int32", (LENGTH,), 50)}, "tflite", RECURRENT_BUGS)
