"""Words that lookups were adapted to, as constructor arguments: HDF5 files keep weights, and words are none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def spelled_out(model: Any) -> Iterator[None]:
    """Have the configuration of every adapted lookup name its vocabulary, as if it had been given to the constructor.

    A file that is written meanwhile comes back; without, Keras writes it all the same and then fails to read it
    ("Table not initialized"). Only stock lookups that the model's own configuration describes are helped.

    Args:
        model: A built Keras model; left as it was.
    """
    adapted = {layer: words for layer in model._flatten_layers() if (words := _adapted_to(layer))}
    try:
        for layer, words in adapted.items():
            layer.input_vocabulary = words
            if layer.output_mode == "tf_idf":
                layer.input_idf_weights = layer.idf_weights.numpy()[: len(words)].tolist()
        yield
    finally:
        for layer in adapted:
            layer.input_vocabulary = layer.input_idf_weights = None


def _adapted_to(layer: Any) -> list[Any]:
    """Return the vocabulary of a lookup, special tokens included, if it was adapted; else nothing."""
    if getattr(layer, "input_vocabulary", ()) is not None:  # no lookup, or its constructor was told
        return []
    if not layer.get_vocabulary(include_special_tokens=False):
        return []
    return [getattr(word, "item", lambda word=word: word)() for word in layer.get_vocabulary()]
