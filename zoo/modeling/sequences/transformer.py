"""Transformers: blocks of attention with rotary positions, and an encoder and decoder made of them.

References: Vaswani 2017, arXiv:1706.03762; Radford 2019 (GPT-2: normalisation before each part); Su 2021,
            arXiv:2104.09864 (rotary positions); Beltagy 2020, arXiv:2004.05150 (attention to a window).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipelines.text.sequences import PADDING
from zoo.modeling.sequences.sequence_to_sequence import SequenceToSequence

MASKED = -1e9  # added to the scores of positions that are not attended to
LONGEST_WAVE = 10_000.0  # of the rotary positions, in tokens / (2 pi)


def _rotate(x: Any, positions: Any) -> Any:
    """Rotate the pairs (i, i + size/2) of vectors by angles that grow with the position: (B, heads, T, size).

    The product of a rotated query and a rotated key depends on the difference of their positions only.
    """
    half = x.shape[-1] // 2
    frequencies = (LONGEST_WAVE ** -(np.arange(half) / half)).astype(np.float32)
    angles = ops.expand_dims(ops.cast(positions, "float32"), -1) * frequencies
    cos, sin = (ops.cast(f(angles), x.dtype) for f in (ops.cos, ops.sin))
    a, b = x[..., :half], x[..., half:]
    return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


class _Block(layers.Layer):
    """Self-attention and a dense network, each normalised before and added to its input: (B, T, D) -> (B, T, D)."""

    def __init__(self, heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.dropout = heads, dropout

    def build(self, shape: Any) -> None:
        """Build the parts."""
        width = shape[-1]
        self.attention_norm = layers.LayerNormalization(name="attention_norm")
        self.query_key_value = layers.Dense(3 * width, use_bias=False, name="query_key_value")
        self.attended = layers.Dense(width, name="attended")
        self.norm = layers.LayerNormalization(name="norm")
        self.hidden = layers.Dense(4 * width, activation="gelu", name="hidden")
        self.output_layer = layers.Dense(width, name="output_layer")
        self.drop = layers.Dropout(self.dropout, name="drop")
        for part in (self.attention_norm, self.query_key_value, self.attended, self.norm, self.hidden):
            part.build(shape)
        self.output_layer.build((*shape[:-1], 4 * width))

    def _self_attention(self, x: Any, mask: Any, training: bool | None) -> Any:
        """Add what each position attends to; the mask is broadcast to (B, heads, T, T) and added to scores."""
        positions = ops.arange(ops.shape(x)[1])
        query, key, value = ops.split(self.query_key_value(self.attention_norm(x)), 3, axis=-1)
        query, key = (_rotate(self._of_heads(part), positions) for part in (query, key))
        return x + self.drop(self.attended(self._attend(query, key, self._of_heads(value), mask)[0]), training=training)

    def _dense(self, x: Any, training: bool | None = None) -> Any:
        return x + self.drop(self.output_layer(self.hidden(self.norm(x))), training=training)

    def _of_heads(self, x: Any) -> Any:  # (B, T, D) -> (B, heads, T, D / heads)
        return ops.swapaxes(ops.reshape(x, (-1, ops.shape(x)[1], self.heads, x.shape[-1] // self.heads)), 1, 2)

    def _attend(self, query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any]:
        """Attend: queries (B, heads, Q, size), keys and values (B, heads, K, size) -> (B, Q, D), weights."""
        scores = ops.matmul(query, ops.swapaxes(key, 2, 3))
        scores = scores + ops.cast(mask, scores.dtype)
        weights = ops.softmax(ops.cast(scores, "float32") * query.shape[-1] ** -0.5)
        found = ops.swapaxes(ops.matmul(ops.cast(weights, scores.dtype), value), 1, 2)
        return ops.reshape(found, (-1, ops.shape(found)[1], self.heads * query.shape[-1])), weights

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """Return the shape of the input."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable("zoo")
class EncoderBlock(_Block):
    """Self-attention to all positions that the mask does not exclude, and a dense network: (B, T, D) -> (B, T, D)."""

    def call(self, x: Any, mask: Any, training: bool | None = None) -> Any:
        """Return the outputs of all positions; `mask` (B, 1, 1, T) is added to scores."""
        return self._dense(self._self_attention(x, mask, training), training)


@keras.saving.register_keras_serializable("zoo")
class CausalBlock(_Block):
    """Self-attention to the last `window` tokens and a dense network, each normalised before and added to its input.

    Shapes: (B, T, D) -> (B, T, D). `step` does the same for one token, with the keys and values of those before it.
    """

    def __init__(self, heads: int, window: int, dropout: float = 0.0, **kwargs: Any) -> None:
        """Attend with so many heads to so many tokens, that of the position included."""
        super().__init__(heads, dropout, **kwargs)
        self.window = window

    def build(self, shape: Any) -> None:
        """Build the parts."""
        super().build(shape)
        self.state_shapes = [(self.heads, self.window, shape[-1] // self.heads)] * 2 + [(1,)]

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return the outputs of all positions."""
        return self._dense(self._causal_attention(x, training), training)

    def step(self, x: Any, states: Any) -> tuple[Any, list[Any]]:
        """Return the output of one token (B, D), and the next states.

        The states are the rotated keys and the values of the last tokens (B, heads, window, size), and the number of
        tokens so far (B, 1).
        """
        x, states = self._causal_step(ops.expand_dims(x, 1), states)
        return ops.squeeze(self._dense(x), 1), states

    def _causal_attention(self, x: Any, training: bool | None) -> Any:
        length = ops.shape(x)[1]
        if isinstance(length, int) and length > self.window:
            return self._attention_by_parts(x, length, training)
        positions = ops.arange(length)
        distances = positions[:, None] - positions[None]
        mask = ops.where(ops.logical_and(distances >= 0, distances < self.window), 0.0, MASKED)
        return self._self_attention(x, mask, training)

    def _attention_by_parts(self, x: Any, length: int, training: bool | None) -> Any:
        """Return the same in parts of `window` tokens, each of which attends to itself and to the one before."""
        # Of the product of all queries and all keys of a long text, most would be masked.
        window, width = self.window, x.shape[-1]
        own = self.query_key_value(self.attention_norm(ops.pad(x, [[0, 0], [0, -length % window], [0, 0]])))
        exists = ops.ones_like(own[:, :, :1])
        before, exists = (ops.pad(y[:, :-window], [[0, 0], [window, 0], [0, 0]]) for y in (own, exists))
        own, before = (ops.reshape(y, (-1, window, 3 * width)) for y in (own, before))
        exists = ops.reshape(exists, (-1, 1, 1, window))
        query, (key, value) = own[:, :, :width], ops.split(ops.concatenate([before, own], 1)[:, :, width:], 2, axis=-1)
        earlier = np.tri(window, dtype=np.float32)  # of the own part; of the one before, the others
        mask = ops.concatenate([exists * (1 - earlier), ops.ones_like(exists) * earlier], axis=-1)
        query = _rotate(self._of_heads(query), np.arange(window, 2 * window))
        key = _rotate(self._of_heads(key), np.arange(2 * window))
        found, _ = self._attend(query, key, self._of_heads(value), (1.0 - mask) * MASKED)
        found = ops.reshape(found, (-1, length + -length % window, width))[:, :length]
        return x + self.drop(self.attended(found), training=training)

    def _causal_step(self, x: Any, states: Any) -> tuple[Any, list[Any]]:
        """Add what one token (B, 1, D) attends to, and return the next states."""
        keys, values, count = states
        parts = ops.split(self.query_key_value(self.attention_norm(x)), 3, axis=-1)
        query, key, value = (self._of_heads(part) for part in parts)
        position = ops.reshape(count, (-1, 1, 1))
        query, key = _rotate(query, position), _rotate(key, position)
        keys, values = (ops.concatenate([past[:, :, 1:], new], axis=2) for past, new in ((keys, key), (values, value)))
        ages = np.arange(self.window, dtype=np.float32) - (self.window - 1)
        mask = ops.minimum(ages + ops.expand_dims(position, 1), 0.0) * -MASKED  # 0 where there is a token
        return x + self.attended(self._attend(query, keys, values, mask)[0]), [keys, values, count + 1.0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable("zoo")
class DecoderBlock(CausalBlock):
    """A `CausalBlock` that also attends to the outputs of an encoder, between its two parts.

    Shapes: (B, T, D), memory (B, S, D) -> (B, T, D), weights (B, heads, T, S).
    """

    def build(self, shape: Any, *_: Any) -> None:
        """Build the parts."""
        super().build(shape)
        width = shape[-1]
        self.memory_norm = layers.LayerNormalization(name="memory_norm")
        self.memory_query = layers.Dense(width, use_bias=False, name="memory_query")
        self.memory_key_value = layers.Dense(2 * width, use_bias=False, name="memory_key_value")
        self.memory_attended = layers.Dense(width, name="memory_attended")
        for part in (self.memory_norm, self.memory_query, self.memory_key_value, self.memory_attended):
            part.build(shape)

    def call(self, x: Any, memory: Any, mask: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return the outputs of all positions, and the weights; `mask` (B, 1, 1, S) is added to scores."""
        x = self._causal_attention(x, training)
        x, weights = self._memory_attention(x, ops.arange(ops.shape(x)[1]), memory, mask, training)
        return self._dense(x, training), weights

    def step(self, x: Any, states: Any, memory: Any, mask: Any) -> tuple[Any, list[Any], Any]:
        """Return the output of one token (B, D), the next states as of `CausalBlock`, and the weights."""
        position = ops.reshape(states[-1], (-1, 1, 1))
        x, states = self._causal_step(ops.expand_dims(x, 1), states)
        x, weights = self._memory_attention(x, position, memory, mask, False)
        return ops.squeeze(self._dense(x), 1), states, weights

    def _memory_attention(
        self, x: Any, positions: Any, memory: Any, mask: Any, training: bool | None
    ) -> tuple[Any, Any]:
        query = _rotate(self._of_heads(self.memory_query(self.memory_norm(x))), positions)
        key, value = (self._of_heads(part) for part in ops.split(self.memory_key_value(memory), 2, axis=-1))
        found, weights = self._attend(query, _rotate(key, ops.arange(ops.shape(memory)[1])), value, mask)
        return x + self.drop(self.memory_attended(found), training=training), weights


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class Transformer(SequenceToSequence):
    """Encoder and decoder of Transformer blocks; source and target share one vocabulary and one embedding.

    Inputs: {"source": (B, S) int32, padded with 0; "target": (B, T) int32, shifted by one token: teacher forcing}.
    Output: logits (B, T, vocabulary_size) float32 of the tokens of the target.

    Args:
        vocabulary_size: Number of tokens of source and target.
        width: Dimensions of embeddings and blocks.
        heads: Number of heads of every attention.
        blocks: Number of blocks of the encoder, and of the decoder.
        window: Largest number of tokens of a target.
        dropout: Dropout rate of embeddings and of what each part of a block adds.
    """

    recurrent = False

    def __init__(
        self, vocabulary_size: int, width: int, heads: int, blocks: int, window: int, dropout: float, **base: Any
    ) -> None:
        super().__init__(**base)
        self.arguments = {
            "vocabulary_size": vocabulary_size,
            "width": width,
            "heads": heads,
            "blocks": blocks,
            "window": window,
            "dropout": dropout,
        }
        self.embedding = layers.Embedding(vocabulary_size, width, name="embedding")
        self.encoder = [EncoderBlock(heads, dropout, name=f"encoder{i}") for i in range(blocks)]
        self.decoder = [DecoderBlock(heads, window, dropout, name=f"decoder{i}") for i in range(blocks)]
        self.memory_norm = layers.LayerNormalization(name="memory_norm")
        self.norm = layers.LayerNormalization(name="norm")
        self.drop = layers.Dropout(dropout, name="drop")
        self.logits = layers.Dense(vocabulary_size, dtype="float32", name="logits")
        self.build()  # here, because loading a whole-model .h5 requires built layers

    def build(self, input_shape: Any = None) -> None:
        """Build every layer."""
        shape = (None, None, self.arguments["width"])
        self.embedding.build((None, None))
        for layer in (*self.encoder, *self.decoder, self.memory_norm, self.norm, self.logits):
            layer.build(shape)
        self.memory_size = self.arguments["width"]
        self.state_shapes = [shape for block in self.decoder for shape in block.state_shapes]
        self.state_ends = np.cumsum([np.prod(shape) for shape in self.state_shapes]).tolist()
        self.state_size = self.state_ends[-1]
        self.built = True

    def encode(self, source: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return the encoder outputs (B, S, width), and the initial state (B, state_size) of the decoder: zeros."""
        x, mask = self.drop(self.embedding(source), training=training), _padding_mask(source)
        for block in self.encoder:
            x = block(x, mask, training=training)
        memory = self.memory_norm(x)
        return memory, ops.tile(ops.zeros_like(memory[:, :1, 0]), (1, self.state_size))

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return the logits of each target token given the previous ones (teacher forcing)."""
        memory, _ = self.encode(inputs["source"], training)
        x, mask = self.drop(self.embedding(inputs["target"]), training=training), _padding_mask(inputs["source"])
        for block in self.decoder:
            x, _ = block(x, memory, mask, training=training)
        return self.logits(self.norm(x))

    def step(self, token: Any, state: Any, memory: Any, source: Any) -> tuple[Any, Any, Any]:
        """Decode one token: token (B,), state (B, state_size) -> logits (B, V), next state, attention weights (B, S).

        The weights are the mean of the heads of the last block.
        """
        parts = ops.split(state, self.state_ends[:-1], axis=-1)
        states = [ops.reshape(part, (-1, *shape)) for part, shape in zip(parts, self.state_shapes, strict=True)]
        x, mask, flat = self.embedding(token), _padding_mask(source), []
        for i, block in enumerate(self.decoder):
            x, new, weights = block.step(x, states[3 * i : 3 * i + 3], memory, mask)
            flat += [ops.reshape(value, (-1, np.prod(value.shape[1:]))) for value in new]
        state = ops.cast(ops.concatenate(flat, axis=-1), "float32")
        return self.logits(self.norm(x)), state, ops.mean(weights, axis=1)[:, 0]


def _padding_mask(source: Any) -> Any:
    """Return (B, 1, 1, S): what is added to the scores of padding."""
    return ops.where(ops.equal(source, PADDING), MASKED, 0.0)[:, None, None, :]
