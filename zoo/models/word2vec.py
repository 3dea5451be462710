"""Word vectors: skip-gram with negative sampling.

Reference: Mikolov, Sutskever, Chen, Corrado, Dean 2013, arXiv:1310.4546; words of the noise are shared by a batch as in
           Ji 2016, arXiv:1604.04661.
Train:     python -m zoo.train word2vec             (--data-dir any .txt file, or a folder of them)
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.word_embeddings import WordEmbeddings

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class SkipGram(keras.Model):
    """Two tables of vectors: one of a word, which is what is wanted, and one of a word as the neighbour of others.

    Input: word (B,) int32 in [0, vocabulary_size). Output: vector (B, embedding_dim) float32.
    """

    def __init__(self, vocabulary_size: int, embedding_dim: int, negatives: float, pool: int, **base: Any) -> None:
        """Make both tables; `negatives` is the weight of the noise, which `pool` words of the batch stand for."""
        super().__init__(**base)
        self.vocabulary_size, self.embedding_dim = vocabulary_size, embedding_dim
        self.negatives, self.pool = negatives, pool
        small = {"embeddings_initializer": keras.initializers.RandomUniform(-0.5 / embedding_dim, 0.5 / embedding_dim)}
        self.words = layers.Embedding(vocabulary_size, embedding_dim, name="words", **small)
        self.neighbours = layers.Embedding(vocabulary_size, embedding_dim, name="neighbours", **small)
        self.shown = keras.metrics.Mean(name="loss")
        self.build()  # here, because a whole-model .h5 is read into layers that must be built already

    def build(self, input_shape: Any = None) -> None:
        """Make the tables."""
        for table in (self.words, self.neighbours):
            table.build((None,))
        self.built = True

    def call(self, word: Any, training: bool | None = None) -> Any:
        """Return the vectors of words (B,): (B, embedding_dim)."""
        return self.words(word)

    def similarity(self, vector: Any) -> Any:
        """Return the cosine of vectors (B, embedding_dim) with the vector of each word: (B, vocabulary_size)."""
        return ops.matmul(
            ops.normalize(vector), ops.transpose(ops.normalize(ops.convert_to_tensor(self.words.embeddings)))
        )

    # === Training ===

    def batch_loss(self, word: Any, noise: Any, neighbours: Any) -> tuple[Any, Any]:
        """Return the negative log-likelihood of all pairs of neighbours and their share of the noise, and the pairs.

        Shapes: word (B,), noise (B,), neighbours (B, N) int32 where 0 is none -> nats and a count, scalars.
        """
        read = (self.words(word), self.neighbours(neighbours), self.neighbours(noise[: self.pool]))
        vector, beside, away = (ops.cast(x, "float32") for x in read)  # sums of thousands are not for bfloat16
        there = ops.cast(neighbours > 0, "float32")
        true = ops.softplus(-ops.einsum("bd,bnd->bn", vector, beside)) * there
        false = ops.softplus(ops.matmul(vector, ops.transpose(away)))
        pairs = ops.sum(there, axis=1)
        return ops.sum(true) + self.negatives * ops.sum(pairs * ops.mean(false, axis=1)), ops.sum(pairs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean that is shown and reset every epoch."""
        return [self.shown]

    def _nats(self, data: Any) -> tuple[Any, Any]:
        word, beside, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.batch_loss(word, beside[:, 1], beside[:, 2:])

    def _show(self, loss: Any, pairs: Any) -> dict[str, Any]:
        self.shown.update_state(loss / ops.maximum(pairs, 1.0), pairs)
        return {"loss": self.shown.result()}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the sum over pairs; y is int32 (B, 2 + N): the word, a word of the noise, the neighbours."""
        with tf.GradientTape() as tape:
            loss, pairs = self._nats(data)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._show(loss, pairs)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the same loss, in nats a pair, without a step."""
        return self._show(*self._nats(data))

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("vocabulary_size", "embedding_dim", "negatives", "pool")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@register(
    data="all_texts",
    task=WordEmbeddings(),
    recipes={"default": Recipe(epochs=4, batch_size=4096, learning_rate=0.2, optimizer="adagrad")},
    tiny={"embedding_dim": 64, "pool": 16},
    card=Card(
        paper="Mikolov, Sutskever, Chen, Corrado, Dean 2013, arXiv:1310.4546",
        expect={"spearman_men": 0.6874},
        command="python -m zoo.train word2vec --precision float32",
        test_data="MEN (word pairs)",
        measured_on="2 cores of an AMD EPYC beside other work: 11 minutes of CPU; WordSim-353 0.678, analogies 0.281",
    ),
)
def word2vec(
    vocabulary_size: int = 20_000, embedding_dim: int = 100, negatives: float = 5.0, pool: int = 512
) -> keras.Model:
    """Word vectors by skip-gram with negative sampling: look a word up, or see which words are like a vector.

    Shapes: word (B,) int32 in [0, vocabulary_size) -> vector (B, embedding_dim) float32.

    Args:
        vocabulary_size: Words; the data decides it.
        embedding_dim: Numbers in a vector.
        negatives: Words of the noise for each true pair.
        pool: Draws of a batch that stand for the noise of all its pairs.
    """
    model = SkipGram(vocabulary_size, embedding_dim, negatives, pool, name="word2vec")
    model(keras.Input((), dtype="int32", name="word"))
    return model
