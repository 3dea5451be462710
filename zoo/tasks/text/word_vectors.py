"""Trained word vectors as the initial weights of an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import glove, words
from zoo.core import weight_files
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    import keras

NAMES = (glove.NAME, "word2vec")
LAYER = "embedding"
DEVIATION = 0.4  # of the values: that of GloVe's, on which recurrent layers train well


def start_from(model: keras.Model, name: str, vocabulary: Sequence[str]) -> int:
    """Set the vectors of the layer `embedding` to trained ones ("glove", "word2vec"); return how many were set."""
    if name not in NAMES:
        raise unknown("task.vectors", name, NAMES)
    layer = next((layer for layer in model.layers if layer.name == LAYER), None)
    if layer is None:
        raise UsageError(f"task.vectors={name} has no effect: this {model.name} has no layer {LAYER}; omit it")
    trained, vectors = glove.load() if name == glove.NAME else _of_word2vec()
    values = layer.embeddings.numpy()
    if values.shape[1] != vectors.shape[1]:
        raise UsageError(
            f"the vectors of {name} have {vectors.shape[1]} dimensions, and the layer {LAYER} has {values.shape[1]}: "
            f"set model.embedding_dim={vectors.shape[1]}"
        )
    index = words.index(trained)
    rows = {i: index.get(word, index.get(word.replace("'", ""))) for i, word in enumerate(vocabulary) if i > 1}
    known = [i for i, row in rows.items() if row is not None]
    chosen = np.asarray(vectors[[rows[i] for i in known]], np.float32)
    values[known] = chosen * (DEVIATION / chosen.std())
    layer.embeddings.assign(values)
    return len(known)


def _of_word2vec() -> tuple[Sequence[str], np.ndarray]:
    """Return the words and vectors of the default weights of the model word2vec, without building it."""
    import h5py

    file = weight_files.SHIPPED / "word2vec.weights.h5"
    with h5py.File(file) as content:
        vectors = np.asarray(content["layers/embedding/vars/0"], np.float32)
    return weight_files.read_description(file)["info"]["vocabulary"], vectors
