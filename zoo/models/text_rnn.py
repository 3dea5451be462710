"""Character-level recurrent language model.

Reference: Graves 2013, arXiv:1308.0850; Cho 2014, arXiv:1406.1078 (GRU); Hochreiter, Schmidhuber 1997 (LSTM).
Train:     python -m zoo.train text_rnn
"""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers

from zoo.recipes import Recipe
from zoo.registry import register
from zoo.specs import Card
from zoo.tasks.language_model import LanguageModel

# === Step form ===


def step_form(model: keras.Model) -> keras.Model:
    """Return one step of a `text_rnn`, on the same weights.

    Shapes: token (B,) int32, state0.. (B, units) float32 -> logits (B, vocabulary_size), next_state0.. likewise. An
    LSTM layer has two states, a GRU layer one; zeros begin a text.
    """
    token = keras.Input((), dtype="int32", name="token")
    states, inputs, outputs = [], {"token": token}, {}
    x = token
    for layer in model.layers:
        if isinstance(layer, layers.RNN):
            size = layer.cell.state_size
            sizes = size if isinstance(size, list | tuple) else [size]
            held = [keras.Input((size,), name=f"state{len(states) + i}") for i, size in enumerate(sizes)]
            inputs |= {h.name: h for h in held}
            x, after = layer.cell(x, held)
            after = after if isinstance(after, list | tuple) else [after]
            outputs |= {f"next_state{len(states) + i}": a for i, a in enumerate(after)}
            states += held
        elif not isinstance(layer, layers.InputLayer | layers.Dropout):
            x = layer(x)
    return keras.Model(inputs, {"logits": x, **outputs}, name=f"{model.name}_step")


# === Functional Model ===


@register(
    data="shakespeare",
    task=LanguageModel(step_form=step_form),
    recipes={
        "default": Recipe(epochs=10, batch_size=64, learning_rate=4e-3, optimizer="adam", clip_norm=1.0),
    },
    tiny={"units": 24, "embedding_dim": 8},
    card=Card(paper="Graves 2013, arXiv:1308.0850"),
)
def text_rnn(
    vocabulary_size: int = 96,
    cell: Literal["gru", "lstm"] = "gru",
    units: int = 256,
    num_layers: int = 1,
    embedding_dim: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Character-level GRU or LSTM, with a one-token step form for generation.

    Shapes: tokens (B, T) int32 in [0, vocabulary_size) -> logits (B, T, vocabulary_size) float32.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(tokens)
    recurrent = {"gru": layers.GRU, "lstm": layers.LSTM}[cell]
    for i in range(num_layers):
        x = recurrent(units, return_sequences=True, name=f"{cell}{i}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    logits = layers.Dense(vocabulary_size, name="logits")(x)
    return keras.Model(tokens, logits, name="text_rnn")
