"""Custom metrics."""

from typing import Any

import keras
from keras import ops

from zoo.modeling.losses import SparseCategoricalCrossentropy


class _Mean(keras.metrics.MeanMetricWrapper):
    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("zoo")
class Accuracy(_Mean):
    """Accuracy of logits (B, C) for labels: integer (B,), or (B, C) class probabilities if examples are mixed.

    Keras' metrics accept one of the two forms; training may mix examples while validation does not.
    """

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(_hits, name=name, dtype=dtype)


@keras.saving.register_keras_serializable("zoo")
class CrossEntropy(_Mean):
    """Cross-entropy of logits (B, ..., C) and labels as for `Accuracy`: the loss without smoothing and penalties."""

    def __init__(self, name: str = "cross_entropy", dtype: str | None = None) -> None:
        super().__init__(SparseCategoricalCrossentropy().call, name=name, dtype=dtype)


@keras.saving.register_keras_serializable("zoo")
class SequenceErrorRate(_Mean):
    """Share of sequences with a wrong token, of logits (B, T, C) for token ids (B, T), where id 0 is padding."""

    def __init__(self, name: str = "sequence_error_rate", dtype: str | None = None) -> None:
        super().__init__(_wrong_sequences, name=name, dtype=dtype)


def _wrong_sequences(y_true: Any, y_pred: Any) -> Any:
    wrong = ops.not_equal(ops.cast(y_true, "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64"))
    return ops.cast(ops.any(ops.logical_and(wrong, ops.not_equal(y_true, 0)), axis=-1), "float32")


def _hits(y_true: Any, y_pred: Any) -> Any:
    truth = ops.argmax(y_true, axis=-1) if len(y_true.shape) == len(y_pred.shape) else y_true
    return ops.cast(ops.equal(ops.cast(truth, "int64"), ops.cast(ops.argmax(y_pred, axis=-1), "int64")), "float32")
