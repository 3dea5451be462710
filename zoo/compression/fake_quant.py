"""The layers of quantization-aware training: they round weights and activations as integer arithmetic does.

They stand in the model that is trained only, beside stock layers whose variables they use; no exported file has them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "embeddings")  # names of variables
MOMENTUM = 0.95  # of the moving average of the ranges
BITS = 8  # of activations
LEAST_RANGE = 1e-6  # of an activation that is always 0


def channel_axes(variable: keras.Variable, layer: keras.Layer) -> tuple[int, ...]:
    """Return the axes of a kernel that have a scale for each index: its output channels, as TFLite has them."""
    # Each output channel has a scale: rounding commutes with the factor of a batch normalisation behind the layer.
    rank = len(variable.shape)
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    if is_depthwise or variable.name == "depthwise_kernel":  # (..., C, multiplier)
        return rank - 2, rank - 1
    if isinstance(layer, keras.layers.Conv2DTranspose):  # (H, W, out, in)
        return (rank - 2,)
    if variable.name == "embeddings" or isinstance(layer, keras.layers.EinsumDense):
        return ()
    return (rank - 1,)


def round_symmetric(kernel: Any, bits: int, axes: Sequence[int]) -> Any:
    """Return a kernel rounded to the integers of so many bits times a scale for each channel."""
    # To [-(2^(bits-1) - 1), 2^(bits-1) - 1]. The gradient passes through unchanged (Bengio 2013, arXiv:1308.3432).
    largest = 2 ** (bits - 1) - 1
    others = [axis for axis in range(len(kernel.shape)) if axis not in axes]
    peak = ops.max(ops.abs(kernel), axis=others, keepdims=True)
    scale = ops.where(peak > 0, peak / largest, 1.0)
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


class RoundedWeights(keras.Layer):
    """A stock layer that is called with rounded kernels, by Keras' `stateless_call`; it keeps its variables.

    `bits` is 8 or 4; None calls the built layer with its weights as they are.
    """

    def __init__(self, layer: keras.Layer, bits: int | None, name: str, without_activation: bool = False) -> None:
        super().__init__(name=name, dtype=layer.dtype_policy)
        self.layer, self.bits = layer, bits
        self.supports_masking = layer.supports_masking
        self.arguments = frozenset(inspect.signature(layer.call).parameters)
        self.call_layer = functools.partial((_linear(layer) if without_activation else layer).stateless_call)
        self.built = True

    def kernels(self) -> list[tuple[keras.Variable, tuple[int, ...]]]:
        """Return the kernels with their channel axes."""
        return [(v, channel_axes(v, self.layer)) for v in self.layer.weights if v.name in KERNELS]

    def call(self, *inputs: Any, mask: Any = None, training: bool | None = None, **arguments: Any) -> Any:
        """Return what the layer returns for rounded kernels; inputs and outputs have its shapes."""
        given = {"mask": mask, "training": training}
        arguments |= {name: value for name, value in given.items() if name in self.arguments and value is not None}
        bits = self.bits or 0
        axes = {id(variable): axes for variable, axes in self.kernels()} if bits else {}

        def value(variable: keras.Variable) -> Any:
            kernel = ops.convert_to_tensor(variable)
            return round_symmetric(kernel, bits, axes[id(variable)]) if id(variable) in axes else kernel

        states = self.layer.non_trainable_variables
        outputs, updates = self.call_layer(
            [value(v) for v in self.layer.trainable_variables], [value(v) for v in states], *inputs, **arguments
        )
        for variable, update in zip(states, updates, strict=True):
            if id(variable) not in axes:  # of random numbers
                variable.assign(update)
        return outputs

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the layer."""
        return self.layer.compute_mask(inputs, previous_mask)


class RoundedBias(keras.Layer):
    """Adds what the bias of a convolution or dense layer changes by as a whole number of steps of its accumulator.

    A step is that of the inputs times that of the kernel of a channel. With few inputs, as those of a depthwise
    convolution, it can be a hundredth of a step of the result.
    """

    def __init__(
        self,
        linear: RoundedWeights,  # called without its activation; its weights are rounded already
        norm: keras.layers.BatchNormalization | None,  # behind it, which the converter folds into kernel and bias
        quantizer: FakeQuantization,  # of the inputs
        name: str,
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.linear, self.norm, self.quantizer = linear, norm, quantizer
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the results of the layer, or of the normalisation behind it, with the rounded bias."""
        factor, bias, norm = 1.0, self.linear.layer.bias if self.linear.layer.use_bias else 0.0, self.norm
        if norm is not None:
            factor = ops.rsqrt(norm.moving_variance + norm.epsilon) * (norm.gamma if norm.scale else 1.0)
            bias = (bias - norm.moving_mean) * factor + (norm.beta if norm.center else 0.0)
        ((kernel, axes),) = self.linear.kernels()
        others = [axis for axis in range(len(kernel.shape)) if axis not in axes]
        peaks = ops.reshape(ops.max(ops.abs(kernel), axis=others), (-1,)) * ops.abs(factor)
        step = ops.maximum(peaks * self.quantizer.step() / 127.0, 1e-30)
        return inputs + (ops.round(bias / step) * step - bias)


def _linear(layer: keras.Layer) -> keras.Layer:
    """Return a layer of the same class and shapes without activation; only its `stateless_call` is used."""
    config = {**layer.get_config(), "activation": None, "kernel_initializer": "zeros", "bias_initializer": "zeros"}
    linear = type(layer).from_config(config)
    linear.build(layer.get_build_config()["input_shape"])
    linear.trainable = layer.trainable
    return linear


class FakeQuantization(keras.Layer):
    """Rounds activations to 256 values of a range, the moving average of the least and largest values of the batches.

    The range includes 0, which is represented exactly. Outside of it the gradient is 0. Its variables are not
    trainable; they change in training steps unless the layer is frozen. A range that is known, such as that of a
    sigmoid, is `fixed`. As many `members` share a range, because they are concatenated: it holds those of all.
    """

    def __init__(self, name: str, fixed: tuple[float, float] | None = None, members: int = 1) -> None:
        super().__init__(name=name, dtype="float32")
        self.fixed, self.members, self.frozen = fixed, members, False
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the variables of the range, (members,) each."""
        if self.fixed is None:
            settings = {"shape": (self.members,), "initializer": "zeros", "trainable": False}
            self.low = self.add_weight(name="low", **settings)
            self.high = self.add_weight(name="high", **settings)
        self.built = True

    @property
    def range(self) -> tuple[float, float]:
        """The least and largest value; (0, 0) before the first training step."""
        return self.fixed or (float(self.low.numpy().min()), float(self.high.numpy().max()))

    @range.setter
    def range(self, limits: Sequence[float]) -> None:
        self.low.assign([limits[0]] * self.members)
        self.high.assign([limits[1]] * self.members)

    def step(self) -> Any:
        """Return the difference of two neighbouring values, a scalar tensor."""
        low, high = self.fixed or (ops.min(self.low), ops.max(self.high))
        return (high - low) / (2.0**BITS - 1)

    def call(self, inputs: Any, training: bool | None = None, member: int | None = 0) -> Any:
        """Return the rounded inputs, of the same shape."""
        if self.fixed is not None:
            return tf.quantization.fake_quant_with_min_max_args(inputs, *self.fixed, num_bits=BITS)
        low, high = ops.convert_to_tensor(self.low), ops.convert_to_tensor(self.high)
        if training and member is not None and not self.frozen:
            least, largest = (ops.stop_gradient(f(inputs)) for f in (ops.min, ops.max))
            low, high = self._follow(low, high, ops.minimum(least, 0.0), ops.maximum(largest, 0.0), member)
            self.low.assign(low)
            self.high.assign(high)
        low, high = ops.min(low), ops.max(high)
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, low, ops.maximum(high, low + LEAST_RANGE), num_bits=BITS
        )

    def _follow(self, low: Any, high: Any, least: Any, largest: Any, member: int) -> tuple[Any, Any]:
        """Return the ranges with that of one member moved towards the limits of its batch; the first batch sets it."""
        is_new = ops.logical_and(low == 0.0, high == 0.0)
        rate = ops.where(is_new, 1.0, 1.0 - MOMENTUM) * ops.one_hot(member, self.members)
        return low + rate * (least - low), high + rate * (largest - high)


class FreezableNormalization(keras.Layer):
    """A stock batch normalisation that, once frozen, normalises by its moving statistics while training, too.

    The last epochs then train the network that is exported. Gamma and beta are trained on.
    """

    def __init__(self, layer: keras.layers.BatchNormalization, name: str) -> None:
        super().__init__(name=name, dtype=layer.dtype_policy)
        self.layer, self.frozen = layer, False
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the normalised inputs, of the same shape."""
        return self.layer(inputs, training=bool(training) and not self.frozen, mask=mask)
