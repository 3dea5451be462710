"""Custom layers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class InstanceNormalization(layers.GroupNormalization):
    """`GroupNormalization(groups=-1)` with the same variables and results, in four dimensions (Ulyanov 2016).

    Keras' layer computes means of five-dimensional tensors, which XNNPACK does not support: the replacement kernel is
    six times as slow. arXiv:1607.08022.

    The rounding error of the mean is subtracted, too: in a flat channel it is as large as the deviations, and differs
    between runtimes.
    """

    def call(self, inputs: Any) -> Any:
        """Normalise each channel of each image (B, H, W, C), in float32 as Keras' layer does."""
        x = ops.cast(inputs, "float32")
        x = x - ops.mean(x, axis=(1, 2), keepdims=True)  # what follows subtracts the mean of the deviations
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        return ops.cast(x * scale + (self.beta - mean * scale), self.compute_dtype)


@keras.saving.register_keras_serializable("zoo")
class MaskedAveragePooling1D(layers.GlobalAveragePooling1D):
    """`GlobalAveragePooling1D` that returns zeros, not NaN (0/0), for a sequence that is padding alone.

    Shapes: (B, T, C), mask (B, T) -> (B, C).
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mean over the steps that are not masked."""
        if mask is None:
            return super().call(inputs)
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        return ops.sum(inputs * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)


def _line(images: Any, axis: int, index: int) -> Any:  # (B, H, W, C) -> (B, 1, W, C), or of axis 2 (B, H, 1, C)
    line = slice(index, index + 1 or None)
    return images[:, line] if axis == 1 else images[:, :, line]


@keras.saving.register_keras_serializable("zoo")
class ReflectionPadding2D(layers.Layer):
    """Pads height and width by reflection without repeating the edge, which avoids the dark border of zero padding.

    Implemented by slices, which are ten times as fast in LiteRT as its MIRROR_PAD.

    Shapes: (B, H, W, C) -> (B, H + 2 padding, W + 2 padding, C); H and W must be larger than `padding`.
    """

    def __init__(self, padding: int, **kwargs: Any) -> None:
        """Pad by `padding` pixels on each side."""
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        """Return the padded images."""
        x = inputs
        for axis in (1, 2):
            before = [_line(x, axis, i) for i in range(self.padding, 0, -1)]
            after = [_line(x, axis, -1 - i) for i in range(1, self.padding + 1)]
            x = tf.concat([*before, x, *after], axis)
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (B, H + 2 padding, W + 2 padding, C)."""
        batch, height, width, channels = input_shape
        return (batch, *(None if s is None else s + 2 * self.padding for s in (height, width)), channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable("zoo")
class NearestUpsampling2D(layers.Layer):
    """Doubles height and width by repeating pixels, by an operator that TFLite supports for dynamic sizes.

    Keras' `UpSampling2D` is converted to Flex operators, which the LiteRT package does not include. A convolution after
    this layer has no checkerboard artifacts, unlike a transposed one (Odena 2016, doi:10.23915/distill.00003).
    """

    def call(self, inputs: Any) -> Any:
        """Map (B, H, W, C) to (B, 2H, 2W, C)."""
        larger = tf.image.resize(inputs, 2 * tf.shape(inputs)[1:3], method="nearest")
        return tf.ensure_shape(larger, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (B, 2H, 2W, C)."""
        batch, height, width, channels = input_shape
        return (batch, *(None if s is None else 2 * s for s in (height, width)), channels)


@keras.saving.register_keras_serializable("zoo")
class CropLike(layers.Layer):
    """Crops `images` of [images, like] to the height and width of `like`, from the upper left corner.

    Shapes: (B, H or more, W or more, C), (B, H, W, D) -> (B, H, W, C).
    """

    def call(self, inputs: Any) -> Any:
        """Return (B, H, W, C)."""
        images, like = inputs
        size = tf.shape(like)
        return tf.ensure_shape(images[:, : size[1], : size[2]], self.compute_output_shape([images.shape, like.shape]))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (B, H, W, C)."""
        images, like = input_shape
        return (images[0], like[1], like[2], images[3])
