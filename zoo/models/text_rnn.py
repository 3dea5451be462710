"""Recurrent language model of characters, or with `--set task.level=words` of words and characters.

Reference: Graves 2013, arXiv:1308.0850; Cho 2014, arXiv:1406.1078 (GRU); Hochreiter, Schmidhuber 1997 (LSTM).
Train:     python -m zoo.train text_rnn             (--recipe full: twice as wide, one hour)
"""

from typing import Literal

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.language_modeling import LanguageModeling


@register(
    data="shakespeare",
    task=LanguageModeling(),
    recipes={
        "default": Recipe(
            epochs=7,
            batch_size=64,
            learning_rate=6e-3,
            warmup=0.1,
            optimizer="adam",
            clip_norm=1.0,
            dropout=0.1,
            model={"units": 384},
        ),
        "full": Recipe(
            epochs=8,
            batch_size=64,
            learning_rate=2e-3,
            optimizer="adam",
            clip_norm=1.0,
            dropout=0.15,
            model={"units": 512},
        ),
    },
    tiny={"units": 24, "embedding_dim": 8, "task.window": 72, "task.warm_up": 8},
    card=Card(
        paper="Graves 2013, arXiv:1308.0850",
        expect={"bits_per_character": 2.0887},
        command="python -m zoo.train text_rnn --recipe full",
        measured_on="2 cores of an AMD EPYC with AVX-512 under other load: 59 minutes of training, 29 of CPU; 2.0880 "
        "before rounding to 8 bits; a 7-gram model (modified Kneser-Ney) and the text before have 2.028, xz 2.49; the "
        "default recipe reaches 2.0905 in 21.6 minutes beside other trainings",
    ),
)
def text_rnn(
    vocabulary_size: int = 96,
    cell: Literal["gru", "lstm", "rnn"] = "gru",
    units: int = 256,
    num_layers: int = 1,
    embedding_dim: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Character-level GRU, LSTM or plain recurrent network, with a one-token step form for generation.

    The layers have the default arguments that cuDNN on a GPU requires.

    Shapes: tokens (B, T) int32 in [0, vocabulary_size) -> logits (B, T, vocabulary_size) float32.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(tokens)
    recurrent = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}[cell]
    for i in range(num_layers):
        x, *_ = recurrent(units, return_sequences=True, return_state=True, name=f"{cell}{i}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    logits = layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name="text_rnn")
