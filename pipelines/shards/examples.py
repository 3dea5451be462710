"""Examples as records: `tf.train.Example`, which other programs read too.

Strings, int64 and float32 are lists of these types. Tensors of other types, or of unknown shape, are bytes of
`tf.io.serialize_tensor`. Encoded images remain as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.shards.manifest import Feature
from zoobase.errors import USAGE, DataError

_LISTS = {"string": "bytes_list", "int64": "int64_list", "float32": "float_list"}


def features_of(split: tf.data.Dataset) -> dict[str, Feature]:
    """Return the features of a split; DataError if its examples are not dictionaries of tensors."""
    spec = split.element_spec
    if not isinstance(spec, Mapping) or not all(isinstance(leaf, tf.TensorSpec) for leaf in spec.values()):
        raise DataError("only examples that are dictionaries of tensors can be written as shards", USAGE)
    return {n: Feature(s.dtype.name, tuple(s.shape) if s.shape.rank is not None else (None,)) for n, s in spec.items()}


def _is_list(feature: Feature) -> bool:
    return feature.dtype in _LISTS and None not in feature.shape


def encode(example: Mapping[str, Any], features: Mapping[str, Feature]) -> bytes:
    """Return an example of NumPy values as a record."""
    record = tf.train.Example()
    for name, feature in features.items():
        value = example[name]
        if _is_list(feature):
            values = getattr(record.features.feature[name], _LISTS[feature.dtype]).value
            values.extend(np.ravel(value).tolist() if isinstance(value, np.ndarray) else [value])
        else:
            record.features.feature[name].bytes_list.value.append(tf.io.serialize_tensor(value).numpy())
    return record.SerializeToString(deterministic=True)


def decode(record: tf.Tensor, features: Mapping[str, Feature]) -> dict[str, tf.Tensor]:
    """Return the example of a record."""
    spec = {
        name: tf.io.FixedLenFeature(feature.shape, feature.dtype)
        if _is_list(feature)
        else tf.io.FixedLenFeature([], tf.string)
        for name, feature in features.items()
    }
    example = tf.io.parse_single_example(record, spec)
    for name, feature in features.items():
        if not _is_list(feature):
            example[name] = tf.ensure_shape(tf.io.parse_tensor(example[name], feature.dtype), feature.shape)
    return example
