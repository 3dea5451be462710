"""The input layers of tabular models: named columns with lookup, embedding and normalisation inside the model.

Columns have the descriptions of `pipelines.tabular`. The model has two parts: `core` takes categories as ids, which
every runtime supports; the outer model converts strings to these ids, which SavedModels and Keras files support.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

Columns = Sequence[Mapping[str, Any]]
Tensors = dict[str, Any]


def encoded_columns(columns: Columns, embedding: int, prefix: str = "") -> tuple[Tensors, Any]:
    """Return the inputs of a core model and their features.

    Args:
        columns: Descriptions of the columns, with vocabularies, means and standard deviations of the training rows.
        embedding: Dimensions of the embedding of a category; 0 is one-hot.
        prefix: Of the names of the layers.

    Returns:
        {column: (B,) int64 id, 0 for an unknown category, or float32}, and (B, features).
    """
    inputs, parts = {}, []
    for column in columns:
        name = column["name"]
        if column["kind"] == "number":
            x = inputs[name] = keras.Input((), dtype="float32", name=name)
            x = keras.ops.where(keras.ops.isnan(x), column["mean"], x)  # a missing number is the mean
            x = layers.Reshape((1,), name=f"{prefix}{name}_row")(x)
            variance = column["deviation"] ** 2
            parts.append(
                layers.Normalization(mean=column["mean"], variance=variance, name=f"{prefix}{name}_normalised")(x)
            )
            continue
        x = inputs[name] = keras.Input((), dtype="int64", name=name)
        size = len(column["vocabulary"]) + 1
        if embedding:
            parts.append(layers.Embedding(size, embedding, name=f"{prefix}{name}_embedding")(x))
        else:
            parts.append(layers.CategoryEncoding(size, output_mode="one_hot", name=f"{prefix}{name}_one_hot")(x))
    return inputs, layers.Concatenate(name=f"{prefix}features")(parts) if len(parts) > 1 else parts[0]


def looked_up_columns(columns: Columns) -> tuple[Tensors, Tensors]:
    """Return the inputs of the outer model, with categories as strings, and those of its core: both {column: (B,)}."""
    raw, encoded = {}, {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "number":
            raw[name] = encoded[name] = keras.Input((), dtype="float32", name=name)
        else:
            raw[name] = keras.Input((), dtype="string", name=name)
            vocabulary = list(column["vocabulary"])
            encoded[name] = layers.StringLookup(vocabulary=vocabulary, name=f"{name}_lookup")(raw[name])
    return raw, encoded
