"""Custom losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class SparseCategoricalCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels and logits, with label smoothing (Szegedy 2016, arXiv:1512.00567).

    Keras has label smoothing for one-hot labels only. Shapes: labels (B, ...) integer, or (B, ..., C) class
    probabilities if examples are mixed; logits (B, ..., C) -> (B, ...).
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "sparse_categorical_crossentropy",
        reduction: str = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        """Smooth by `label_smoothing`, in [0, 1)."""
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each label."""
        mixed = len(y_true.shape) == len(y_pred.shape)
        one = keras.losses.categorical_crossentropy if mixed else keras.losses.sparse_categorical_crossentropy
        nll = one(y_true, y_pred, from_logits=True)
        if not self.label_smoothing:
            return nll
        uniform = -ops.mean(ops.log_softmax(y_pred, axis=-1), axis=-1)
        return (1.0 - self.label_smoothing) * nll + self.label_smoothing * uniform

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
