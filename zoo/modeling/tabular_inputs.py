"""The input layers of tabular models: named columns with lookup, embedding and normalisation inside the model.

Columns have the descriptions of `pipelines.tabular`. The model has two parts: `core` takes categories as ids, which
every runtime supports; the outer model converts strings to these ids, which SavedModels and Keras files support.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

Columns = Sequence[Mapping[str, Any]]
Tensors = dict[str, Any]


def encoded_columns(columns: Columns, embedding: int, prefix: str = "", bins: int = 0) -> tuple[Tensors, Any]:
    """Return inputs {column: (B,) int64 id, 0 for an unknown category, or float32}, and features (B, F)."""
    # `embedding` 0 is one-hot; `bins` intervals of the piecewise linear encoding of numbers, beside the number
    inputs, parts, numbers, edges = {}, [], [], []
    for column in columns:
        name = column["name"]
        if column["kind"] == "number":
            x = inputs[name] = keras.Input((), dtype="float32", name=name)
            is_missing = keras.ops.isnan(x)
            x = keras.ops.where(is_missing, column["mean"], x)  # a missing number is the mean
            x = layers.Reshape((1,), name=f"{prefix}{name}_row")(x)
            if column.get("missing"):  # of training rows: it can be learned what that means
                flag = keras.ops.cast(is_missing, "float32")
                parts.append(layers.Reshape((1,), name=f"{prefix}{name}_is_missing")(flag))
            if bins and "quantiles" in column:
                numbers.append(x)
                quantiles, shares = column["quantiles"], np.linspace(0, 1, bins + 1)
                ends = np.interp(shares, np.linspace(0, 1, len(quantiles)), quantiles)
                edges.append(np.unique(ends.astype(np.float32)))  # equal ones are one
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
    if numbers:
        parts.append(_piecewise_linear(numbers, edges, prefix))
    return inputs, layers.Concatenate(name=f"{prefix}features")(parts) if len(parts) > 1 else parts[0]


def ordinal_columns(columns: Columns) -> tuple[Tensors, Any]:
    """Return inputs as `encoded_columns` does, and numbers and ids as they are, (B, F) float32."""
    inputs, parts = {}, []
    for column in columns:
        name = column["name"]
        x = inputs[name] = keras.Input((), dtype="float32" if column["kind"] == "number" else "int64", name=name)
        x = layers.Rescaling(1.0, dtype="float32", name=f"{name}_number")(x)  # the stock layer that converts ids
        parts.append(layers.Reshape((1,), dtype="float32", name=f"{name}_row")(x))
    return inputs, layers.Concatenate(dtype="float32", name="ordinals")(parts) if len(parts) > 1 else parts[0]


def _piecewise_linear(numbers: Sequence[Any], edges: Sequence[np.ndarray], prefix: str) -> Any:
    """Return the piecewise linear encoding of numbers, (B, N * T) float32 (Gorishniy 2022, arXiv:2203.05556)."""
    # A number is a row of T values, one for each interval: 0 below it, 1 above it, and the share of it in between. Only
    # stock layers: the lower end is subtracted first, which float32 does exactly where it matters.
    count, size = len(edges), max(1, *(len(e) - 1 for e in edges))
    low, scale = np.zeros((2, count, size))
    for i, e in enumerate(edges):
        low[i, : len(e) - 1], scale[i, : len(e) - 1] = e[:-1], 1 / np.diff(e)  # an interval that is not there stays 0
    x = layers.Concatenate(name=f"{prefix}numbers")(numbers) if count > 1 else numbers[0]
    x = layers.Reshape((count, 1), dtype="float32", name=f"{prefix}numbers_columns")(x)
    x = keras.ops.tile(x, (1, 1, size))
    x = layers.Rescaling(1.0, (-low).tolist(), dtype="float32", name=f"{prefix}numbers_above")(x)
    x = layers.Rescaling(scale.tolist(), dtype="float32", name=f"{prefix}numbers_share")(x)
    x = layers.ReLU(max_value=1.0, dtype="float32", name=f"{prefix}numbers_clipped")(x)
    return layers.Flatten(dtype="float32", name=f"{prefix}numbers_encoded")(x)


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
