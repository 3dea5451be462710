"""Classifiers of short texts: a linear model of words, pairs and parts of words, alone or beside a recurrent reader.

Reference: words and pairs weighed by naive Bayes: Wang, Manning 2012, https://aclanthology.org/P12-2018; parts of
           words: Bojanowski 2017, arXiv:1607.04606; readers: Schuster, Paliwal 1997, doi:10.1109/78.650093; both: Cheng
           2016, arXiv:1606.07792; bag of embeddings: Joulin 2016, arXiv:1607.01759.
Train:     python -m zoo.train sentiment            (--set data=imdb_reviews --set task.length=250 with the internet)
           python -m zoo.train sentiment --recipe recurrent        (a bidirectional GRU beside it; --encoder lstm|bag)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo.core.errors import UsageError
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.classification import TextClassification

SIZES = range(3, 7)  # characters in a part of a word, its ends included
MOST = 32  # parts of one word that are looked at

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class Linear(layers.Layer):
    """Logistic regression on which words, pairs of neighbours and parts of words occur.

    Pairs and parts share hashed places. Every weight is multiplied by what `observe` has counted: how much more often
    its feature occurs in the class than in the others. Without that it is a logistic regression of words and pairs.

    Shapes: tokens (B, L) int32, 0 for padding -> logits (B, num_classes) float32.
    """

    def __init__(self, num_classes: int, vocabulary_size: int, pairs: int, parts: int, **base: Any) -> None:
        """Give each of `vocabulary_size` words, and each place of `pairs` and `parts`, one weight a class."""
        super().__init__(**base)
        self.num_classes, self.vocabulary_size, self.pairs, self.parts = num_classes, vocabulary_size, pairs, parts

    def build(self, shape: Any) -> None:
        """Make the tables."""
        self.words, self.word_ratios = self._table(self.vocabulary_size, "words")
        self.neighbours, self.neighbour_ratios = self._table(self.pairs, "neighbours")
        self.pieces, self.piece_ratios = self._table(self.parts, "pieces")
        self.spelling = self._known(
            (self.vocabulary_size, MOST), "int32", "zeros", "spelling"
        )  # word -> places, 0: none
        self.share = self._known((self.vocabulary_size, 1), "float32", "zeros", "share")  # of one part in its word

    def _table(self, size: int, name: str) -> tuple[Any, Any]:
        shape = (size, self.num_classes)
        weights = self.add_weight(shape=shape, initializer="zeros", name=name)
        return weights, self._known(shape, "float32", "ones", f"{name}_ratios")

    def _known(self, shape: tuple[int, ...], dtype: str, initializer: str, name: str) -> Any:
        return self.add_weight(shape=shape, dtype=dtype, initializer=initializer, trainable=False, name=name)

    def call(self, tokens: Any) -> Any:
        """Return the sum of the weights of what occurs."""
        places, both = self._places(tokens)
        spelled = ops.take(self.spelling, tokens, axis=0)
        pieces = _occurring(self.pieces * self.piece_ratios, spelled, spelled > 0)  # (B, L, num_classes)
        return (
            _occurring(self.words * self.word_ratios, tokens, tokens > 0)
            + _occurring(self.neighbours * self.neighbour_ratios, places, both)
            + ops.sum(pieces * ops.take(self.share, tokens, axis=0), axis=1)
        )

    def _places(self, tokens: Any) -> tuple[Any, Any]:
        left, right = tokens[:, :-1], tokens[:, 1:]
        return (left * 7919 + right) % self.pairs, (left > 1) & (right > 1)  # a pair with an unknown word says little

    def observe(self, tokens: np.ndarray, labels: np.ndarray, vocabulary: Sequence[str]) -> None:
        """Learn how the words are spelled, and count what occurs in the texts of each class.

        Args:
            tokens: int32 (N, L), of the training texts.
            labels: Integer (N,).
            vocabulary: The words by their ids.
        """
        spelling = np.zeros(self.spelling.shape, np.int32)
        for i, word in enumerate(vocabulary[2:], 2):
            places = [1 + zlib.crc32(part.encode()) % (self.parts - 1) for part in _parts(word)]
            spelling[i, : len(places)] = places
        count = np.count_nonzero(spelling, axis=1)[:, None]
        self.spelling.assign(spelling)
        self.share.assign(np.where(count > 0, 1 / np.sqrt(np.maximum(count, 1)), 0))

        places, both = self._places(tokens)
        self.word_ratios.assign(self._ratios((t[t > 0] for t in tokens), labels, self.vocabulary_size))
        self.neighbour_ratios.assign(
            self._ratios((p[b] for p, b in zip(places, both, strict=True)), labels, self.pairs)
        )
        self.piece_ratios.assign(self._ratios((s[s > 0] for s in (spelling[t] for t in tokens)), labels, self.parts))

    def _ratios(self, occurring: Iterable[np.ndarray], labels: np.ndarray, size: int) -> np.ndarray:
        """Return log(share in the class / share in the others), float32 (size, num_classes); each text counts once."""
        counts = np.ones((self.num_classes, size))
        for places, label in zip(occurring, labels, strict=True):
            counts[label, np.unique(places)] += 1
        others = counts.sum(0) - counts
        own = counts / counts.sum(1, keepdims=True)
        return np.log(own / (others / others.sum(1, keepdims=True))).T.astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("num_classes", "vocabulary_size", "pairs", "parts")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _occurring(table: Any, places: Any, there: Any) -> Any:
    """Return the sum of the rows (..., C) of a table at places (..., n) that are there."""
    return ops.sum(ops.take(table, places, axis=0) * ops.expand_dims(ops.cast(there, table.dtype), -1), axis=-2)


def _parts(word: str) -> list[str]:
    whole = f"<{word}>"
    return list(dict.fromkeys(whole[i : i + n] for n in SIZES for i in range(len(whole) - n + 1)))[:MOST]


# === Functional Model ===


def _read(tokens: Any, encoder: str, vocabulary_size: int, units: int, embedding_dim: int, dropout: float) -> Any:
    x = layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="embedding")(tokens)
    x = layers.SpatialDropout1D(dropout / 2, name="word_dropout")(x)
    if encoder != "bag":
        recurrent = {"gru": layers.GRU, "lstm": layers.LSTM}[encoder](units, return_sequences=True, name=encoder)
        x = layers.Bidirectional(recurrent, name="reader")(x)
    return layers.GlobalAveragePooling1D(name="mean")(x)  # (B, features)


RECURRENT = Recipe(epochs=5, batch_size=64, learning_rate=3e-3, weight_decay=1e-4, ema=0.99, model={"encoder": "gru"})


@register(
    data="movie_reviews",
    task=TextClassification(),
    recipes={
        "default": Recipe(epochs=8, batch_size=64, learning_rate=3e-3, weight_decay=1.0, ema=0.99),
        "recurrent": RECURRENT,
    },
    tiny={"encoder": "gru", "units": 4, "embedding_dim": 8, "pairs": 1000, "parts": 1000},
    card=Card(
        paper="Wang, Manning 2012, https://aclanthology.org/P12-2018",
        expect={"accuracy": 0.7907},
        command="python -m zoo.train sentiment",
        measured_on="2 cores of an AMD EPYC: less than a minute of training; seeds 1 and 2 give 0.7886 and 0.7862, a "
        "TF-IDF logistic regression in the same command 0.7612",
    ),
)
def sentiment(
    vocabulary_size: int = 10_000,
    num_classes: int = 2,
    encoder: Literal["none", "gru", "lstm", "bag"] = "none",
    units: int = 48,
    embedding_dim: int = 100,
    dropout: float = 0.5,
    pairs: int = 131_071,
    parts: int = 100_000,
) -> keras.Model:
    """Linear model of words, pairs and parts of words for short texts, alone or beside a reader.

    `encoder` is the reader: a bidirectional GRU or LSTM with masking, or a bag of embeddings. `pairs=0` leaves the
    linear model out.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), 0 where a text has ended -> logits (B, num_classes) float32.

    Raises:
        UsageError: Nothing is left that could learn, or hashed places are too few.
    """
    if pairs and (pairs < 2 or parts < 2):
        raise UsageError(
            f"model.pairs={pairs} and model.parts={parts} are not usable: give 2 places or more, or pairs=0"
        )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    heads = []
    if encoder != "none":
        x = _read(tokens, encoder, vocabulary_size, units, embedding_dim, dropout)
        heads.append(layers.Dense(num_classes, name="deep")(layers.Dropout(dropout, name="dropout")(x)))
    if pairs:
        heads.append(Linear(num_classes, vocabulary_size, pairs, parts, name="linear")(tokens))
    if not heads:
        raise UsageError("encoder=none and pairs=0 leave nothing that could learn")
    return keras.Model(tokens, layers.Add(name="logits")(heads) if len(heads) > 1 else heads[0], name="sentiment")
