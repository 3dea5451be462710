"""Metrics that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Share of logits (B, C) whose largest is the label: integer (B,), or (B, C) as shares where examples are mixed.

    Keras' own metric takes one of the two kinds; training may mix examples while validation does not.
    """

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        """Name it as Keras does."""
        super().__init__(_hits, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}


def _hits(y_true: Any, y_pred: Any) -> Any:
    truth = ops.argmax(y_true, axis=-1) if len(y_true.shape) == len(y_pred.shape) else y_true
    return ops.cast(ops.equal(ops.cast(truth, "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64")), "float32")
