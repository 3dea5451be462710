"""Candidates for texts: a constant, and logistic regression on TF-IDF of words and characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

from zoo.candidates import linear, ngrams
from zoo.core.task import Candidate
from zoo.modeling.layers import TfIdf

if TYPE_CHECKING:
    from scipy import sparse

    from pipelines.dataset import Dataset, Info
    from zoo.core.plan import Plan

NGRAMS = 60_000  # the most frequent ones are kept
MOST_WORDS = 1_500_000  # of a training split, of whose characters TF-IDF takes seconds, not gigabytes


def ladder(info: Info, field: str, of_ngrams: bool = False) -> dict[str, Candidate]:
    """Return the candidates of texts, the cheapest first; `of_ngrams` if the tokens are those already.

    `field` is that of the task that is "ngrams" where tokens are n-grams.
    """
    found = {"constant": Candidate("most frequent class", tfidf, linear.fit_classes_alone, fast=True)}
    if of_ngrams or info.counts["train"] * info.statistics.get("length", 0) <= MOST_WORDS:
        title, task = "logistic regression on TF-IDF", {field: "ngrams", "tokens": NGRAMS, "length": 0}
        found["tfidf"] = Candidate(title, tfidf, _fit_tfidf, task)
    return found


def tfidf(name: str, vocabulary_size: int, num_classes: int) -> keras.Model:
    """Return one `Dense` layer on the TF-IDF of n-grams, words and characters apart."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = TfIdf(vocabulary_size, 2, name="tfidf")(tokens)
    return keras.Model(tokens, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


def _fit_tfidf(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    vocabulary = dataset.info.vocabulary
    (counts, labels), (held, held_labels) = (_counts(plan, dataset, split) for split in ("train", "validation"))
    documents = np.bincount(counts.indices, minlength=len(vocabulary))
    idf = np.log((1 + counts.shape[0]) / (1 + documents)) + 1.0
    is_word = np.array([ngram.startswith(ngrams.MARK) for ngram in vocabulary])
    weights = np.stack([idf * is_word, idf * ~is_word], axis=1)
    weights[:2] = 0.0  # padding
    x, held_x = (weighted(part, weights) for part in (counts, held))
    kernel, bias = linear.logistic_regression(
        *(x, labels, dataset.info.num_classes), (held_x, held_labels), linear.has_groups(plan), linear.SPARSE_STRENGTHS
    )
    model.get_layer("tfidf").idf.assign(weights)
    model.get_layer("logits").set_weights([kernel, bias])


def _counts(plan: Plan, dataset: Dataset, split: str) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return how often each token occurs in each text (N, size) float64, and the labels (N,)."""
    from scipy import sparse

    size = len(dataset.info.vocabulary)
    tokens, labels = linear.examples(lambda x: x, plan.feed(dataset, split), np.int32)
    rows = np.repeat(np.arange(len(tokens)), tokens.shape[1])
    ones = np.ones(tokens.size)
    return sparse.csr_matrix((ones, (rows, tokens.reshape(-1))), shape=(len(tokens), size)), labels


def weighted(counts: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    """Return TF-IDF of counts (N, size) with inverse document frequencies (size, parts), as the layer does."""
    from scipy import sparse
    from sklearn.preprocessing import normalize

    frequency = counts.copy()
    frequency.data = 1.0 + np.log(frequency.data)
    return sum(normalize(frequency @ sparse.diags(part)) for part in weights.T).tocsr()
