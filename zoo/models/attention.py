"""From one sequence to another: a GRU reads, a GRU writes and looks back by attention.

Reference: Bahdanau, Cho, Bengio 2015, arXiv:1409.0473 (additive); Luong, Pham, Manning 2015, arXiv:1508.04025
           (multiplicative, "general").
Train:     python -m zoo.train attention            (--set data=ted_hrlr_translate --set task.level=words, online)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers, ops

from pipelines.text.sequences import END, PADDING, START
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.translation import Translation

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class Translator(keras.Model):
    """GRU encoder and decoder with attention; source and target share one vocabulary and its embedding.

    What is read by attention joins after the recurrence for both kinds, as in Luong's paper (in Bahdanau's, before it),
    so that a whole target is one call of a GRU layer, which a GPU runs by cuDNN.

    Inputs: {"source": (B, S) int32, 0 where it has ended; "target": (B, T) int32, one token late: teacher forcing}.
    Output: logits (B, T, vocabulary_size) float32 of the tokens of the target.
    """

    def __init__(
        self, vocabulary_size: int, attention: str, units: int, embedding_dim: int, dropout: float, **base: Any
    ) -> None:
        """Make the layers; `attention` is "bahdanau" or "luong"."""
        super().__init__(**base)
        self.arguments = {
            "vocabulary_size": vocabulary_size,
            "attention": attention,
            "units": units,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
        }
        self.units = units
        self.embedding = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")
        reader = layers.GRU(units, return_sequences=True, return_state=True, name="reader")
        self.encoder = layers.Bidirectional(reader, name="encoder")
        self.start = layers.Dense(units, activation="tanh", name="start")
        self.decoder = layers.GRU(units, return_sequences=True, return_state=True, name="decoder")
        self.key = layers.Dense(units, use_bias=False, name="key")
        if attention == "bahdanau":
            self.query, self.attend = layers.Dense(units, name="query"), layers.AdditiveAttention(name="attend")
        else:
            self.query, self.attend = None, layers.Attention(name="attend")
        self.combine = layers.Dense(units, activation="tanh", name="combine")
        self.drop = layers.Dropout(dropout, name="drop")
        self.logits = layers.Dense(vocabulary_size, name="logits")
        self.build()  # here, because a whole-model .h5 is read into layers that must be built already

    def build(self, input_shape: Any = None) -> None:
        """Build every layer."""
        units, read = self.units, 2 * self.units
        self.embedding.build((None, None))
        for layer in (self.encoder, self.decoder):
            layer.build((None, None, self.arguments["embedding_dim"]))
        self.start.build((None, read))
        self.key.build((None, None, read))
        if self.query is not None:
            self.query.build((None, None, units))
        self.attend.build([(None, None, units), (None, None, read), (None, None, units)])
        self.combine.build((None, None, units + read))
        self.logits.build((None, None, units))
        self.built = True

    def encode(self, source: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return what is read at each place (B, S, 2 * units), and the state (B, units) that writing begins with."""
        x = self.drop(self.embedding(source), training=training)
        memory, forward, backward = self.encoder(x, mask=ops.not_equal(source, PADDING), training=training)
        return memory, self.start(ops.concatenate([forward, backward], axis=-1))

    def look_back(self, written: Any, memory: Any, source: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return logits (B, T, vocabulary_size) and the share of each place of the source (B, T, S).

        Shapes: states of the decoder (B, T, units), memory (B, S, 2 * units), source (B, S).
        """
        query = written if self.query is None else self.query(written)
        mask = [None, ops.not_equal(source, PADDING)]
        inputs = [query, memory, self.key(memory)]
        found, shares = self.attend(inputs, mask=mask, return_attention_scores=True, training=training)
        x = self.combine(ops.concatenate([written, found], axis=-1))
        return self.logits(self.drop(x, training=training)), shares

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return the logits of each token of the target, told those before it."""
        memory, state = self.encode(inputs["source"], training)
        x = self.drop(self.embedding(inputs["target"]), training=training)
        written, _ = self.decoder(x, initial_state=state, training=training)
        return self.look_back(written, memory, inputs["source"], training)[0]

    def step(self, token: Any, state: Any, memory: Any, source: Any) -> tuple[Any, Any, Any]:
        """Write on by one token: token (B,), state (B, units) -> logits (B, V), next state, shares (B, S)."""
        written, (state,) = self.decoder.cell(self.embedding(token), [state], training=False)
        logits, shares = self.look_back(ops.expand_dims(written, 1), memory, source)
        return ops.squeeze(logits, 1), state, ops.squeeze(shares, 1)

    def greedy(self, source: Any, length: int) -> tuple[Any, Any]:
        """Write the likeliest token each time, `length` times; after the end, padding.

        Returns:
            Tokens (B, length) int32, and the shares of the source at each (B, length, S).
        """
        memory, state = self.encode(source)
        token = ops.full_like(ops.max(source, axis=1), START)
        ended, tokens, looked = ops.not_equal(token, START), [], []
        for _ in range(length):
            logits, state, shares = self.step(token, state, memory, source)
            # never padding, unknown or begin; Keras' own argmax asks for signs by bits, which TFLite has not
            best = tf.argmax(logits[:, END:], axis=-1, output_type="int32") + END
            token = ops.where(ended, ops.zeros_like(best), best)
            ended = ops.logical_or(ended, ops.equal(token, END))
            tokens.append(token)
            looked.append(shares)
        return ops.stack(tokens, axis=1), ops.stack(looked, axis=1)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@register(
    data="dates",
    task=Translation(),
    recipes={"default": Recipe(epochs=6, batch_size=128, learning_rate=3e-3, optimizer="adam", clip_norm=1.0)},
    tiny={"units": 16, "embedding_dim": 8},
    card=Card(
        paper="Bahdanau, Cho, Bengio 2015, arXiv:1409.0473; Luong, Pham, Manning 2015, arXiv:1508.04025",
        expect={"exact": 1.0},
        command="python -m zoo.train attention --precision float32",
        measured_on="2 cores shared with other work: 3.7 minutes of processor time, 6 epochs",
        notes="`exact` is of 2,000 days that were never shown; the forms they are written in are those of training.",
    ),
)
def attention(
    vocabulary_size: int = 64,
    attention: Literal["bahdanau", "luong"] = "bahdanau",
    units: int = 64,
    embedding_dim: int = 32,
    dropout: float = 0.1,
) -> keras.Model:
    """Encoder-decoder with attention, from text to text: dates to ISO 8601, or one language to another.

    Shapes: {"source": (B, S), "target": (B, T)} int32 -> logits (B, T, vocabulary_size) float32.

    Args:
        vocabulary_size: Tokens; the data decides it.
        attention: Additive ("bahdanau") or multiplicative ("luong").
        units: Of each GRU.
        embedding_dim: Numbers in an embedding.
        dropout: Share of embeddings and of what goes into the logits.
    """
    model = Translator(vocabulary_size, attention, units, embedding_dim, dropout, name="attention")
    model({name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")})
    return model
