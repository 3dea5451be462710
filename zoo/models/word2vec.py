"""Word embeddings: skip-gram with negative sampling.

Reference: Mikolov, Sutskever, Chen, Corrado, Dean 2013, arXiv:1310.4546; negative samples are shared by neighbouring
           words as in Ji 2016, arXiv:1604.04661.
Train:     python -m zoo.train word2vec             (--data-dir any .txt file, or a folder of them)
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.word_embeddings import WordEmbeddings

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class SkipGram(keras.Model):
    """Two embeddings: one of the centre words, which are the word vectors, and one of the context words.

    Input: word (B,) int32 in [0, vocabulary_size). Output: vector (B, embedding_dim) float32.
    """

    def __init__(self, vocabulary_size: int, embedding_dim: int, negatives: float, **base: Any) -> None:
        """Create both embeddings; `negatives` is the weight of the negative samples."""
        super().__init__(**base)
        self.vocabulary_size, self.embedding_dim, self.negatives = vocabulary_size, embedding_dim, negatives
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

    def chunk_loss(self, ids: Any, radius: Any, negatives: Any) -> tuple[Any, Any]:
        """Return the negative log-likelihood of all pairs with their negative samples, and the number of pairs.

        The words of a chunk share the vectors of their neighbours and of their negative samples, which are read and
        updated once, and the inner products are products of matrices (Ji 2016).

        Args:
            ids: Chunks of running text, int32 (B, W + L + W): L words between their neighbours; 0 is no word.
            radius: How many neighbours on each side belong to each of the L words, int32 (B, L), 1 to W.
            negatives: Negative samples, int32 (B, N).
        """
        length, window = radius.shape[1], (ids.shape[1] - radius.shape[1]) // 2
        word = ids[:, window : window + length]
        embeddings = (self.words(word), self.neighbours(ids), self.neighbours(negatives))
        centre, context, sampled = (ops.cast(x, "float32") for x in embeddings)  # bfloat16 is too coarse for long sums
        distance = np.abs(np.arange(-window, length + window) - np.arange(length)[:, None])  # (L, W + L + W)
        near = (distance <= ops.expand_dims(radius, -1)) & (distance > 0)
        known = ops.expand_dims(ids > 0, 1) & ops.expand_dims(word > 0, -1)
        mask = ops.cast(near & known, "float32")
        positive_loss = ops.softplus(-ops.einsum("bld,bcd->blc", centre, context)) * mask
        negative_loss = ops.softplus(ops.einsum("bld,bnd->bln", centre, sampled))
        pairs = ops.sum(mask, axis=-1)
        negative_loss = ops.sum(pairs * ops.mean(negative_loss, axis=-1))
        return ops.sum(positive_loss) + self.negatives * negative_loss, ops.sum(pairs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean loss, which is reset every epoch."""
        return [self.loss_tracker]

    def _update_metrics(self, loss: Any, pairs: Any) -> dict[str, Any]:
        self.loss_tracker.update_state(loss / ops.maximum(pairs, 1.0), pairs)
        return {"loss": self.loss_tracker.result()}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Minimise the sum over pairs; y has the arguments of `chunk_loss`."""
        _, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss, pairs = self.chunk_loss(**target)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._update_metrics(loss, pairs)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the loss, in nats per pair; y is int32 (B, 2 + 2 * W): the word, a negative sample, the neighbours."""
        _, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        word, negatives, left_and_right = ops.split(target, (1, 2), axis=1)
        left, right = ops.split(left_and_right, 2, axis=1)
        ids = ops.concatenate([left, word, right], axis=1)  # each a chunk of one word
        return self._update_metrics(*self.chunk_loss(ids, ops.full_like(word, left.shape[1]), negatives))

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("vocabulary_size", "embedding_dim", "negatives")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@register(
    data="all_texts",
    task=WordEmbeddings(),
    recipes={"default": Recipe(epochs=4, batch_size=256, learning_rate=0.2, optimizer="adagrad")},
    tiny={"embedding_dim": 64},
    card=Card(
        paper="Mikolov, Sutskever, Chen, Corrado, Dean 2013, arXiv:1310.4546",
        expect={"spearman_men": 0.7171},
        command="python -m zoo.train word2vec --precision float32",
        test_data="MEN (word pairs)",
        measured_on="2 cores of an AMD EPYC under other load: 4 minutes of CPU; WordSim-353 0.697, analogies 0.280",
        baselines={"gensim on the same text": 0.6985},
        published="0.80 of word2vec trained on 2.8 billion words (Baroni 2014, doi:10.3115/v1/P14-1023)",
    ),
)
def word2vec(vocabulary_size: int = 20_000, embedding_dim: int = 100, negatives: float = 5.0) -> keras.Model:
    """Word vectors by skip-gram with negative sampling, with a nearest-neighbour search.

    Shapes: word (B,) int32 in [0, vocabulary_size) -> vector (B, embedding_dim) float32.

    Args:
        vocabulary_size: Size of the vocabulary; determined by the data.
        embedding_dim: Dimensions of the vectors.
        negatives: Negative samples per pair.
    """
    model = SkipGram(vocabulary_size, embedding_dim, negatives, name="word2vec")
    model(keras.Input((), dtype="int32", name="word"))
    return model
