"""Word embeddings: skip-gram with negative sampling.

Reference: Mikolov, Sutskever, Chen, Corrado, Dean 2013, arXiv:1310.4546; negative samples are shared by a batch as in
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
from zoo.core.spec import Card, Weights
from zoo.tasks.text.word_embeddings import WordEmbeddings

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class SkipGram(keras.Model):
    """Two embeddings: one of the centre words, which are the word vectors, and one of the context words.

    Input: word (B,) int32 in [0, vocabulary_size). Output: vector (B, embedding_dim) float32.
    """

    def __init__(self, vocabulary_size: int, embedding_dim: int, negatives: float, pool: int, **base: Any) -> None:
        """Create both embeddings; `negatives` is the weight of the negative samples, `pool` their number per batch."""
        super().__init__(**base)
        self.vocabulary_size, self.embedding_dim = vocabulary_size, embedding_dim
        self.negatives, self.pool = negatives, pool
        small = {"embeddings_initializer": keras.initializers.RandomUniform(-0.5 / embedding_dim, 0.5 / embedding_dim)}
        self.words = layers.Embedding(vocabulary_size, embedding_dim, name="words", **small)
        self.neighbours = layers.Embedding(vocabulary_size, embedding_dim, name="neighbours", **small)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.build()  # here, because loading a whole-model .h5 requires built layers

    def build(self, input_shape: Any = None) -> None:
        """Build both embeddings."""
        for table in (self.words, self.neighbours):
            table.build((None,))
        self.built = True

    def call(self, word: Any, training: bool | None = None) -> Any:
        """Return the vectors of words (B,): (B, embedding_dim)."""
        return self.words(word)

    def similarity(self, vector: Any) -> Any:
        """Return the cosine similarity of vectors (B, embedding_dim) to each word vector: (B, vocabulary_size)."""
        return ops.matmul(
            ops.normalize(vector), ops.transpose(ops.normalize(ops.convert_to_tensor(self.words.embeddings)))
        )

    # === Training ===

    def batch_loss(self, word: Any, negatives: Any, neighbours: Any) -> tuple[Any, Any]:
        """Return the negative log-likelihood of all pairs with their negative samples, and the number of pairs.

        Shapes: word (B,), negatives (B,), neighbours (B, N) int32 where 0 is none -> nats and a count, scalars.
        """
        embeddings = (self.words(word), self.neighbours(neighbours), self.neighbours(negatives[: self.pool]))
        centre, context, sampled = (ops.cast(x, "float32") for x in embeddings)  # bfloat16 is too coarse for long sums
        mask = ops.cast(neighbours > 0, "float32")
        positive_loss = ops.softplus(-ops.einsum("bd,bnd->bn", centre, context)) * mask
        negative_loss = ops.softplus(ops.matmul(centre, ops.transpose(sampled)))
        pairs = ops.sum(mask, axis=1)
        negative_loss = ops.sum(pairs * ops.mean(negative_loss, axis=1))
        return ops.sum(positive_loss) + self.negatives * negative_loss, ops.sum(pairs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean loss, which is reset every epoch."""
        return [self.loss_tracker]

    def _nats(self, data: Any) -> tuple[Any, Any]:
        word, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.batch_loss(word, target[:, 1], target[:, 2:])

    def _update_metrics(self, loss: Any, pairs: Any) -> dict[str, Any]:
        self.loss_tracker.update_state(loss / ops.maximum(pairs, 1.0), pairs)
        return {"loss": self.loss_tracker.result()}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Minimise the sum over pairs; y is int32 (B, 2 + N): the word, a negative sample, the neighbours."""
        with tf.GradientTape() as tape:
            loss, pairs = self._nats(data)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._update_metrics(loss, pairs)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the loss, in nats per pair, without an update."""
        return self._update_metrics(*self._nats(data))

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
        measured_on="2 cores of an AMD EPYC under other load: 6 minutes of CPU; WordSim-353 0.678, analogies 0.281",
        baselines={"gensim on the same text": 0.6855},
        published="0.80 of word2vec trained on 2.8 billion words (Baroni 2014, doi:10.3115/v1/P14-1023)",
    ),
    weights={
        "default": Weights(
            "word2vec.weights.h5", sha256="b053af7afe48069a35bd56c97b453948cb08840ca09f1039725c0c2c748cd936"
        )
    },
)
def word2vec(
    vocabulary_size: int = 20_000, embedding_dim: int = 100, negatives: float = 5.0, pool: int = 512
) -> keras.Model:
    """Word vectors by skip-gram with negative sampling, with a nearest-neighbour search.

    Shapes: word (B,) int32 in [0, vocabulary_size) -> vector (B, embedding_dim) float32.

    Args:
        vocabulary_size: Size of the vocabulary; determined by the data.
        embedding_dim: Dimensions of the vectors.
        negatives: Negative samples per pair.
        pool: Negative samples that are shared by all pairs of a batch.
    """
    model = SkipGram(vocabulary_size, embedding_dim, negatives, pool, name="word2vec")
    model(keras.Input((), dtype="int32", name="word"))
    return model
