"""Reader of short texts: a bidirectional GRU or LSTM over words beside a linear model of words and pairs of words.

Reference: Schuster, Paliwal 1997, doi:10.1109/78.650093; wide and deep: Cheng 2016, arXiv:1606.07792; words and pairs:
           Wang, Manning 2012, https://aclanthology.org/P12-2018; bag of embeddings: Joulin 2016, arXiv:1607.01759.
Train:     python -m zoo.train sentiment            (--set data=imdb_reviews --set task.length=250 with the internet)
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers, ops

from zoo.recipes import Recipe
from zoo.registry import register
from zoo.specs import Card
from zoo.tasks.texts import TextClassification

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class Linear(layers.Layer):
    """Logistic regression on which words and pairs of neighbours occur; pairs share hashed places.

    Shapes: tokens (B, L) int32, 0 for padding -> logits (B, num_classes) float32.
    """

    def __init__(self, num_classes: int, vocabulary_size: int, pairs: int, **base: Any) -> None:
        """Give each of `vocabulary_size` words, and each of `pairs` places of pairs, one weight a class."""
        super().__init__(**base)
        self.num_classes, self.vocabulary_size, self.pairs = num_classes, vocabulary_size, pairs
        self.words = layers.Embedding(vocabulary_size, num_classes, embeddings_initializer="zeros", name="words")
        self.neighbours = layers.Embedding(pairs, num_classes, embeddings_initializer="zeros", name="neighbours")

    def build(self, shape: Any) -> None:
        """Make the tables."""
        self.words.build(shape)
        self.neighbours.build(shape)

    def call(self, tokens: Any) -> Any:
        """Return the sum of the weights of what occurs."""
        left, right = tokens[:, :-1], tokens[:, 1:]
        place = (left * 7919 + right) % self.pairs
        return self._sum(self.words(tokens), tokens > 0) + self._sum(
            self.neighbours(place),
            ops.logical_and(left > 1, right > 1),  # a pair with an unknown word says little
        )

    def _sum(self, weights: Any, there: Any) -> Any:
        return ops.sum(weights * ops.expand_dims(ops.cast(there, weights.dtype), -1), axis=1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"num_classes": self.num_classes, "vocabulary_size": self.vocabulary_size, "pairs": self.pairs}
        return {**super().get_config(), **own}


# === Functional Model ===


@register(
    data="movie_reviews",
    task=TextClassification(),
    recipes={"default": Recipe(epochs=5, batch_size=64, learning_rate=3e-3, weight_decay=1e-4, ema=0.99)},
    tiny={"units": 4, "embedding_dim": 8, "pairs": 1000},
    card=Card(paper="Schuster, Paliwal 1997, doi:10.1109/78.650093"),
)
def sentiment(
    vocabulary_size: int = 10_000,
    num_classes: int = 2,
    encoder: Literal["gru", "lstm", "bag"] = "gru",
    units: int = 48,
    embedding_dim: int = 100,
    dropout: float = 0.5,
    pairs: int = 131_071,
) -> keras.Model:
    """Bidirectional GRU or LSTM with masking, or a bag of embeddings, beside a linear model, for short texts.

    `pairs=0` leaves the linear model out.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), 0 where a text has ended -> logits (B, num_classes) float32.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="embedding")(tokens)
    x = layers.SpatialDropout1D(dropout / 2, name="word_dropout")(x)
    if encoder != "bag":
        recurrent = {"gru": layers.GRU, "lstm": layers.LSTM}[encoder](units, return_sequences=True, name=encoder)
        x = layers.Bidirectional(recurrent, name="reader")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    x = layers.Dense(num_classes, name="deep")(layers.Dropout(dropout, name="dropout")(x))
    if pairs:
        x = layers.Add(name="logits")([x, Linear(num_classes, vocabulary_size, pairs, name="linear")(tokens)])
    return keras.Model(tokens, x, name="sentiment")
