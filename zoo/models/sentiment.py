"""Classifiers of short texts: a linear model of words, bigrams and character n-grams, optionally with an RNN.

Reference: words and bigrams with naive Bayes weights: Wang, Manning 2012, https://aclanthology.org/P12-2018; character
           n-grams: Bojanowski 2017, arXiv:1607.04606; bidirectional RNNs: Schuster, Paliwal 1997,
           doi:10.1109/78.650093; linear and deep model together: Cheng 2016, arXiv:1606.07792; bag of embeddings:
           Joulin 2016, arXiv:1607.01759.
Train:     python -m zoo.train sentiment            (--set data=imdb_reviews --set task.length=250 downloads IMDb)
           python -m zoo.train sentiment --recipe recurrent        (adds an LSTM; --encoder gru|bag)
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.layers import MaskedAveragePooling1D
from zoo.tasks.text.classification import TextClassification
from zoobase.errors import UsageError

NGRAM_SIZES = range(3, 7)  # characters in an n-gram of a word, including the boundary marks
MAX_NGRAMS = 32  # n-grams per word

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class Linear(layers.Layer):
    """Logistic regression on the occurrence of words, bigrams and character n-grams.

    Bigrams and n-grams are hashed. Every weight is multiplied by the log-count ratio of its feature, which `observe`
    computes from the training texts. Before `observe` is called, all ratios are 1 and there are no n-grams.

    Shapes: tokens (B, L) int32, 0 for padding -> logits (B, num_classes) float32.
    """

    has_logits = True  # linear in its trainable weights, which a temperature divides

    def __init__(self, num_classes: int, vocabulary_size: int, pairs: int, parts: int, **base: Any) -> None:
        """Use `pairs` hash buckets for bigrams and `parts` for character n-grams."""
        super().__init__(**base)
        self.num_classes, self.vocabulary_size, self.pairs, self.parts = num_classes, vocabulary_size, pairs, parts

    def build(self, shape: Any) -> None:
        """Create the weights; their names are part of saved states."""
        self.words, self.word_ratios = self._table(self.vocabulary_size, "words")
        self.bigrams, self.bigram_ratios = self._table(self.pairs, "neighbours")
        self.ngrams, self.ngram_ratios = self._table(self.parts, "pieces")
        # word -> buckets of its n-grams, 0: none
        self.word_ngrams = self._statistic((self.vocabulary_size, MAX_NGRAMS), "int32", "zeros", "spelling")
        self.ngram_scale = self._statistic((self.vocabulary_size, 1), "float32", "zeros", "share")  # 1 / sqrt(n-grams)

    def _table(self, size: int, name: str) -> tuple[Any, Any]:
        shape = (size, self.num_classes)
        weights = self.add_weight(shape=shape, initializer="zeros", name=name)
        return weights, self._statistic(shape, "float32", "ones", f"{name}_ratios")

    def _statistic(self, shape: tuple[int, ...], dtype: str, initializer: str, name: str) -> Any:
        return self.add_weight(shape=shape, dtype=dtype, initializer=initializer, trainable=False, name=name)

    def call(self, tokens: Any) -> Any:
        """Return the sum of the weights of the features that occur."""
        buckets, mask = self._bigrams(tokens)
        word_ngrams = ops.take(self.word_ngrams, tokens, axis=0)
        ngrams = _sum_rows(self.ngrams * self.ngram_ratios, word_ngrams, word_ngrams > 0)  # (B, L, num_classes)
        return (
            _sum_rows(self.words * self.word_ratios, tokens, tokens > 0)
            + _sum_rows(self.bigrams * self.bigram_ratios, buckets, mask)
            + ops.sum(ngrams * ops.take(self.ngram_scale, tokens, axis=0), axis=1)
        )

    def _bigrams(self, tokens: Any) -> tuple[Any, Any]:
        """Return the bucket of each bigram, and whether both of its words are in the vocabulary."""
        left, right = tokens[:, :-1], tokens[:, 1:]
        # (7919 left + right) % pairs, of which no term reaches 2**24: OpenVINO computes the remainder in float32
        product = (left * 100 % self.pairs) * 79 + left * 19
        return (product + right) % self.pairs, (left > 1) & (right > 1)

    def observe(self, tokens: np.ndarray, labels: np.ndarray, vocabulary: Sequence[str]) -> None:
        """Set the n-grams of the words, and the log-count ratios from the texts of each class.

        Args:
            tokens: Word ids of the training texts, int32 (N, L).
            labels: Labels of the texts, integer (N,).
            vocabulary: The words by their ids.
        """
        word_ngrams = np.zeros(self.word_ngrams.shape, np.int32)
        for i, word in enumerate(vocabulary[2:], 2):
            whole = f"<{word}>"
            ngrams = list(dict.fromkeys(whole[j : j + n] for n in NGRAM_SIZES for j in range(len(whole) - n + 1)))
            buckets = [1 + zlib.crc32(ngram.encode()) % (self.parts - 1) for ngram in ngrams[:MAX_NGRAMS]]
            word_ngrams[i, : len(buckets)] = buckets
        count = np.count_nonzero(word_ngrams, axis=1)[:, None]
        self.word_ngrams.assign(word_ngrams)
        self.ngram_scale.assign(np.where(count > 0, 1 / np.sqrt(np.maximum(count, 1)), 0))

        buckets, mask = self._bigrams(tokens)
        self.word_ratios.assign(self._ratios((t[t > 0] for t in tokens), labels, self.vocabulary_size))
        self.bigram_ratios.assign(self._ratios((b[m] for b, m in zip(buckets, mask, strict=True)), labels, self.pairs))
        self.ngram_ratios.assign(self._ratios((n[n > 0] for n in (word_ngrams[t] for t in tokens)), labels, self.parts))

    def _ratios(self, features: Iterable[np.ndarray], labels: np.ndarray, size: int) -> np.ndarray:
        """Return log(frequency in the class / in the others), float32 (size, num_classes); each text counts once."""
        counts = np.ones((self.num_classes, size))
        for indices, label in zip(features, labels, strict=True):
            counts[label, np.unique(indices)] += 1
        others = counts.sum(0) - counts
        own = counts / counts.sum(1, keepdims=True)
        return np.log(own / (others / others.sum(1, keepdims=True))).T.astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("num_classes", "vocabulary_size", "pairs", "parts")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _sum_rows(table: Any, indices: Any, mask: Any) -> Any:
    """Return the sum of the rows (..., C) of a table at the indices (..., n) that are not masked."""
    return ops.sum(ops.take(table, indices, axis=0) * ops.expand_dims(ops.cast(mask, table.dtype), -1), axis=-2)


# === Functional Model ===


def _encode(tokens: Any, encoder: str, vocabulary_size: int, units: int, embedding_dim: int, dropout: float) -> Any:
    x = layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="embedding")(tokens)
    x = layers.SpatialDropout1D(dropout / 2, name="word_dropout")(x)
    if encoder != "bag":
        recurrent = {"gru": layers.GRU, "lstm": layers.LSTM}[encoder](units, return_sequences=True, name=encoder)
        x = layers.Bidirectional(recurrent, name="reader")(x)
    return MaskedAveragePooling1D(name="mean")(x)  # (B, features)


RECURRENT = Recipe(
    epochs=5,
    patience=2,
    batch_size=64,
    learning_rate=2e-3,
    weight_decay=0.1,
    ema=0.99,
    model={"encoder": "lstm", "units": 64},
)


@register(
    data="movie_reviews",
    task=TextClassification(),
    recipes={
        "default": Recipe(epochs=8, batch_size=64, learning_rate=3e-3, weight_decay=1.0, ema=0.99, patience=3),
        "recurrent": RECURRENT,
    },
    tiny={"encoder": "bag", "embedding_dim": 8, "pairs": 1000, "parts": 1000, "task.length": 16},
    card=Card(
        paper="Wang, Manning 2012, https://aclanthology.org/P12-2018",
        expect={"accuracy": 0.7903},
        command="python -m zoo.train sentiment",
        measured_on="2 cores of an AMD EPYC: less than a minute of training; seeds 1 and 2: 0.7886 and 0.7862, a "
        "linear SVM on TF-IDF of words and characters in the same command 0.7810",
        published="0.794 of naive Bayes SVM (Wang, Manning 2012), in cross-validation where films are in several folds",
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
    """Linear model of words, bigrams and character n-grams for short texts, optionally with an RNN.

    `encoder` adds a bidirectional GRU or LSTM with masking, or a bag of embeddings. `pairs=0` removes the linear model.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), padded with 0 -> logits (B, num_classes) float32.

    Raises:
        UsageError: Neither an encoder nor the linear model is used, or there are too few hash buckets.
    """
    if pairs and (pairs < 2 or parts < 2):
        raise UsageError(
            f"model.pairs={pairs} and model.parts={parts} are not valid: use 2 buckets or more, or pairs=0"
        )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    heads = []
    if encoder != "none":
        x = _encode(tokens, encoder, vocabulary_size, units, embedding_dim, dropout)
        heads.append(layers.Dense(num_classes, name="deep")(layers.Dropout(dropout, name="dropout")(x)))
    if pairs:
        heads.append(Linear(num_classes, vocabulary_size, pairs, parts, name="linear")(tokens))
    if not heads:
        raise UsageError("encoder=none and pairs=0 leave no trainable layer")
    return keras.Model(tokens, layers.Add(name="logits")(heads) if len(heads) > 1 else heads[0], name="sentiment")
