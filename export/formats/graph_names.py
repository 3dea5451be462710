"""Names that TensorFlow can use as scopes of a graph."""

from __future__ import annotations

import re
from typing import Any

from zoobase.errors import ExportError

SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # of tf.Graph.name_scope


def check_graph_names(model: Any) -> None:
    """Raise ExportError for a model or layer whose name no graph can have, so that `model.predict` raises, too.

    Args:
        model: A built Keras model.

    Example:
        >>> import keras
        >>> check_graph_names(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="my model"))
        Traceback (most recent call last):
            ...
        zoobase.errors.ExportError: the model is named 'my model', which TensorFlow accepts in no graph (model.predict \
raises, too); build it with another name, such as name='my_model'
    """
    for layer in model._flatten_layers():
        if type(layer).__name__ != "InputLayer" and not SCOPE.fullmatch(layer.name):
            what = "the model" if layer is model else f"a layer of class {type(layer).__name__}"
            plain = re.sub(r"[^A-Za-z0-9_.-]", "_", layer.name).lstrip("_-") or "layer"
            raise ExportError(
                f"{what} is named {layer.name!r}, which TensorFlow accepts in no graph (model.predict raises, too); "
                f"build it with another name, such as name={plain!r}"
            )
