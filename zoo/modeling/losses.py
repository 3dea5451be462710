"""Losses, and the base class of models with several of them."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from pipelines.images import IGNORE


@keras.saving.register_keras_serializable("zoo")
class SparseCategoricalCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels and logits, with label smoothing (Szegedy 2016, arXiv:1512.00567).

    Keras has label smoothing for one-hot labels only. Shapes: labels (B, ...) integer, or (B, ..., C) class
    probabilities if examples are mixed; logits (B, ..., C) -> (B, ...). Integer labels that are `ignore_class` have no
    loss, and the mean is that of the others.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        name: str = "sparse_categorical_crossentropy",
        **options: Any,
    ) -> None:
        """Smooth by `label_smoothing`, in [0, 1)."""
        super().__init__(name=name, **options)
        self.label_smoothing, self.ignore_class = label_smoothing, ignore_class

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each label."""
        mixed = len(y_true.shape) == len(y_pred.shape)
        one = keras.losses.categorical_crossentropy if mixed else keras.losses.sparse_categorical_crossentropy
        loss = one(y_true, y_pred, from_logits=True)
        if self.label_smoothing:
            uniform = -ops.mean(ops.log_softmax(y_pred, axis=-1), axis=-1)
            loss = (1.0 - self.label_smoothing) * loss + self.label_smoothing * uniform
        if self.ignore_class is None:
            return loss
        counted = ops.cast(ops.not_equal(y_true, self.ignore_class), loss.dtype)
        return loss * counted / ops.maximum(ops.mean(counted), 1e-6)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "ignore_class": self.ignore_class}


@keras.saving.register_keras_serializable("zoo")
class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy of pixels, plus the soft Dice loss of each image (Milletari 2016, arXiv:1606.04797).

    Pixels of the label `ignore`, 255, count in neither. Shapes: class ids (B, H, W); logits (B, H, W, C) -> (B,).
    """

    def __init__(
        self, dice: float = 0.0, ignore: int = IGNORE, name: str = "segmentation_loss", **options: Any
    ) -> None:
        """Weigh the Dice loss by `dice`, zero or more."""
        super().__init__(name=name, **options)
        self.dice, self.ignore = dice, ignore

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image."""
        labels = ops.cast(y_true, "int32")
        valid = ops.not_equal(labels, self.ignore)
        labels, weights = ops.where(valid, labels, 0), ops.cast(valid, y_pred.dtype)
        nll = weights * keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        loss = ops.sum(nll, axis=(1, 2)) / ops.maximum(ops.sum(weights, axis=(1, 2)), 1.0)
        if not self.dice:
            return loss
        one_hot = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype) * weights[..., None]
        probabilities = ops.softmax(y_pred, axis=-1) * weights[..., None]
        common, total = (ops.sum(x, axis=(1, 2)) for x in (one_hot * probabilities, one_hot + probabilities))
        overlap = (2.0 * common + 1.0) / (total + 1.0)  # one pixel more: a class that is rightly absent has overlap 1
        return loss + self.dice * ops.mean(1.0 - overlap, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "dice": self.dice, "ignore": self.ignore}


class MultiLossModel(keras.Model):
    """A subclass implements `batch_losses`, and calls this constructor before it creates layers."""

    loss_names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs: Any) -> None:
        """Create a mean metric for each of `loss_names`."""
        super().__init__(**kwargs)
        self.arguments: dict[str, Any] = {}  # of the constructor of a subclass, for its config
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in self.loss_names]

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> Sequence[Any]:
        """Return a value for each of `loss_names`, scalars or (B,); training minimises the mean of the first."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean metrics, which are reset every epoch."""
        return self.loss_trackers

    def train_step(self, data: Any) -> dict[str, Any]:
        """Minimise the first of `batch_losses` plus the penalties of the layers."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            losses = self.batch_losses(inputs, target, training=True)
            objective = tf.reduce_mean(losses[0]) + sum(self.losses)
        gradients = tape.gradient(objective, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._update_metrics(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the losses without an update."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._update_metrics(self.batch_losses(inputs, target, training=False))

    def _update_metrics(self, losses: Sequence[Any]) -> dict[str, Any]:
        for metric, value in zip(self.loss_trackers, losses, strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self.loss_trackers}

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable("zoo")
class SupervisedContrastive(keras.losses.Loss):
    """Draws vectors of one class together and the others apart (Khosla 2020, arXiv:2004.11362).

    Cross-entropy of the others of its class among all others, less its smallest value, the logarithm of their number.

    Shapes: labels (B,) integer; vectors (B, D) of length 1 -> (B,); 0 for an example that is alone of its class.
    """

    def __init__(self, temperature: float = 0.1, name: str = "supervised_contrastive", **options: Any) -> None:
        """Divide the cosines by `temperature`."""
        super().__init__(name=name, **options)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example: the mean over the others of its class."""
        labels = ops.reshape(y_true, (-1, 1))
        itself = ops.eye(ops.shape(y_pred)[0], dtype=y_pred.dtype)
        cosines = ops.matmul(y_pred, ops.transpose(y_pred)) / self.temperature
        log_shares = ops.log_softmax(cosines - 1e9 * itself, axis=1)
        same = ops.cast(ops.equal(labels, ops.transpose(labels)), y_pred.dtype) * (1 - itself)
        count = ops.maximum(ops.sum(same, axis=1), 1)
        cross_entropy = -ops.sum(same * log_shares, axis=1) / count
        return ops.where(ops.sum(same, axis=1) > 0, cross_entropy - ops.log(count), 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}
