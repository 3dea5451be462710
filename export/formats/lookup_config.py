"""Adapted vocabularies as constructor arguments, because HDF5 files store weights only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def explicit_vocabularies(model: Any) -> Iterator[None]:
    """Include the vocabulary of every adapted lookup layer in its configuration, as if given to the constructor.

    Otherwise Keras writes a file that it cannot load ("Table not initialized"). Only lookup layers of Keras that the
    configuration of the model contains are supported.

    Args:
        model: A built Keras model; restored on exit.
    """
    adapted = {layer: vocabulary for layer in model._flatten_layers() if (vocabulary := _adapted_vocabulary(layer))}
    try:
        for layer, vocabulary in adapted.items():
            layer.input_vocabulary = vocabulary
            if layer.output_mode == "tf_idf":
                layer.input_idf_weights = layer.idf_weights.numpy()[: len(vocabulary)].tolist()
        yield
    finally:
        for layer in adapted:
            layer.input_vocabulary = layer.input_idf_weights = None


def _adapted_vocabulary(layer: Any) -> list[Any]:
    """Return the vocabulary of an adapted lookup layer, special tokens included; else an empty list."""
    if (
        getattr(layer, "input_vocabulary", ()) is not None
    ):  # not a lookup, or the vocabulary was given to the constructor
        return []
    if not layer.get_vocabulary(include_special_tokens=False):
        return []
    return [getattr(word, "item", lambda word=word: word)() for word in layer.get_vocabulary()]
