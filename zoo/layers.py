"""Layers that Keras does not have, and the fast form of one that it has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import layers


class FusedBatchNormalization(layers.BatchNormalization):
    """The stock layer's variables, config and mathematics through TensorFlow's fused kernel.

    Never saved: `fused` puts it in the place of stock layers while a model trains, and takes it away again. The fused
    kernel returns the variance with Bessel's correction n/(n-1), which the stock moving variance does not have.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise (B, H, W, C) over all axes but the last."""
        train = bool(training) and self.trainable
        # The kernel takes bfloat16 images, but scale, offset and statistics in float32.
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=None if train else tf.cast(self.moving_mean, tf.float32),
            variance=None if train else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=train,
        )
        if train:
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
            variance = variance * (count - 1.0) / count
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return y


FusedBatchNormalization.__name__ = layers.BatchNormalization.__name__  # weight files name their groups by it


def _can_be_fused(layer: keras.Layer) -> bool:
    return (
        type(layer) is layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and layer.trainable
        and not layer.synchronized
    )


@contextlib.contextmanager
def fused(model: keras.Model) -> Iterator[int]:
    """Run the model's 4-D batch normalisations fused inside the block; save weights only in it.

    Yields:
        How many layers are fused. Frozen, masked and other layers are left as they are.
    """
    chosen = [layer for layer in model._flatten_layers() if _can_be_fused(layer)]
    for layer in chosen:
        layer.__class__ = FusedBatchNormalization
    try:
        yield len(chosen)
    finally:
        for layer in chosen:
            layer.__class__ = layers.BatchNormalization
        model.train_function = model.test_function = model.predict_function = None  # traced with the fused kernel
