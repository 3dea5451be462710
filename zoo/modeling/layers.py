"""Custom layers."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from pipelines.sound.folders import RATE

HOP, WINDOW = 320, 640  # samples: 20 and 40 ms
BANDS, LOWEST, HIGHEST = 40, 20.0, 4000.0  # Hz
FLOOR = 1e-3  # is added to the amplitude of a band, so that silence has a logarithm
WIDEST = 0.25  # of the bands or of the windows, which one mask of SpecAugment covers


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


@keras.saving.register_keras_serializable("zoo")
class TfIdf(keras.layers.Layer):
    """Sublinear term frequency times inverse document frequency, of each part of the vocabulary with norm 1.

    As a `make_union` of scikit-learn's `TfidfVectorizer(sublinear_tf=True)`, one for each part, has them.

    Shapes: tokens (B, L) int32 in [0, size) -> (B, size) float32; a token without weights, such as padding, is 0.

    Args:
        size: Size of the vocabulary.
        parts: Number of parts, such as words and characters; the weights (size, parts) are 0 in the other parts.
    """

    def __init__(self, size: int, parts: int = 1, **kwargs: Any) -> None:
        kwargs = {k: v for k, v in kwargs.items() if k not in ("dtype", "trainable")}
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.size, self.parts = size, parts

    def build(self, input_shape: Any) -> None:
        """Create the inverse document frequencies."""
        self.idf = self.add_weight(shape=(self.size, self.parts), initializer="zeros", name="idf")

    def call(self, tokens: Any) -> Any:
        """Return (B, size)."""
        tokens = ops.cast(tokens, "int32")
        batch = ops.shape(tokens)[0]
        rows = ops.zeros_like(tokens) + ops.expand_dims(ops.arange(batch, dtype="int32"), 1)
        ones = ops.ones_like(tokens, dtype="float32")
        counts = tf.scatter_nd(ops.stack([rows, tokens], axis=-1), ones, (batch, self.size))
        frequency = ops.where(counts > 0, 1.0 + ops.log(ops.maximum(counts, 1.0)), 0.0)
        squares = ops.matmul(ops.square(frequency), ops.square(self.idf))  # of each part
        scale = 1.0 / ops.sqrt(ops.maximum(squares, 1e-12))
        return frequency * ops.matmul(scale, ops.transpose(self.idf))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return (B, size)."""
        return input_shape[0], self.size

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "size": self.size, "parts": self.parts}


@keras.saving.register_keras_serializable("zoo")
class SpecAugment(layers.Layer):
    """Masks random ranges of frequencies and of time of a spectrogram while training; the identity otherwise.

    Shapes: (B, T, F) -> (B, T, F), of the same dtype.

    Each mask is up to a quarter of the windows T or of the bands F wide, other ones for each spectrogram of each step.
    Masked values are the mean of their spectrogram, as in the paper, where it is zero: not the logarithm of silence,
    whose edges the cosine transform would spread over all coefficients. Park et al. 2019, arXiv:1904.08779, without
    its time warping, which gained least there.

    Args:
        masks: Number of masks of time, and of masks of frequencies.
        seed: Seed of the masks; None takes one of `keras.utils.set_random_seed`.

    Example:
        >>> SpecAugment(masks=2)(np.zeros((8, 49, 40)), training=True).shape
        TensorShape([8, 49, 40])
    """

    def __init__(self, masks: int = 2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.masks, self.seed = masks, seed
        self.random = keras.random.SeedGenerator(seed)
        self.built = True  # nothing of it depends on the shape

    def call(self, spectrogram: Any, training: bool = False) -> Any:
        """Return (B, T, F)."""
        if not training:
            return spectrogram
        mean = ops.mean(spectrogram, axis=(1, 2), keepdims=True)
        batch, *sizes = ops.shape(spectrogram)
        for axis, size in enumerate(sizes, 1):
            amounts = keras.random.uniform((2, batch, self.masks, 1), seed=self.random)
            width = amounts[0] * (WIDEST * size)
            start = amounts[1] * (size - width)
            place = ops.arange(size, dtype="float32") + 0.5  # the middle of each band or window
            masked = ops.any((place > start) & (place < start + width), axis=1)  # (B, size)
            spectrogram = ops.where(ops.expand_dims(masked, 3 - axis), mean, spectrogram)
        return spectrogram

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "masks": self.masks, "seed": self.seed}


@keras.saving.register_keras_serializable("zoo")
class CepstralCoefficients(layers.Layer):
    """Mel-frequency cepstral coefficients of samples at 16 kHz, as matrix multiplications, which every runtime has.

    Shapes: samples (B, N) float32, N a multiple of 320 -> (B, N / 320 - 1, coefficients) float32.

    Of windows of 40 ms (Hann), every 20 ms: the amplitudes at multiples of 25 Hz, their weighted sums in 40 triangular
    bands of equal width on the mel scale from 20 to 4000 Hz, the logarithms of these, and of them the first values of
    the discrete cosine transform (type 2, orthonormal).

    Args:
        coefficients: Number of values of each window, at most 40.
        masks: Masks of the bands, and of the windows, before the cosine transform while training (`SpecAugment`).
    """

    def __init__(self, coefficients: int = 10, masks: int = 0, **kwargs: Any) -> None:
        super().__init__(
            dtype="float32", trainable=False, **{k: v for k, v in kwargs.items() if k not in ("dtype", "trainable")}
        )
        self.coefficients, self.masks = coefficients, masks
        self.augment = SpecAugment(masks, dtype="float32") if masks else None  # without it no seed is saved

    def call(self, samples: Any) -> Any:
        """Return (B, N / 320 - 1, coefficients)."""
        hops = ops.reshape(samples, (-1, samples.shape[1] // HOP, HOP))
        windows = ops.concatenate([hops[:, :-1], hops[:, 1:]], axis=-1)
        cosines, sines = fourier()
        real, imaginary = ops.matmul(windows, cosines), ops.matmul(windows, sines)
        amplitudes = ops.sqrt(ops.square(real) + ops.square(imaginary))
        bands = ops.log(ops.matmul(amplitudes, mel_bands()) + FLOOR)
        if self.augment:
            bands = self.augment(bands)
        return ops.matmul(bands, cosine_transform()[:, : self.coefficients])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the coefficients."""
        return (input_shape[0], input_shape[1] // HOP - 1, self.coefficients)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "coefficients": self.coefficients, "masks": self.masks}


def fourier() -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines (640, 159) under a Hann window, of the multiples of 25 Hz between 20 and 4000 Hz."""
    time = np.arange(WINDOW)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * time / WINDOW)
    phase = 2 * np.pi * time[:, None] * _frequencies() / RATE
    return (hann[:, None] * np.cos(phase)).astype(np.float32), (hann[:, None] * np.sin(phase)).astype(np.float32)


def _frequencies() -> np.ndarray:
    step = RATE / WINDOW
    return np.arange(np.ceil(LOWEST / step), np.ceil(HIGHEST / step)) * step


def mel_bands() -> np.ndarray:
    """Return the weights (159, 40) of the frequencies in the bands."""
    edges = np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2)
    mel, (low, middle, high) = _mel(_frequencies())[:, None], (edges[:-2], edges[1:-1], edges[2:])
    rising, falling = (mel - low) / (middle - low), (high - mel) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(frequency: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def cosine_transform() -> np.ndarray:
    """Return the orthonormal discrete cosine transform of type 2, (40, 40)."""
    matrix = np.cos(np.pi / BANDS * (np.arange(BANDS)[:, None] + 0.5) * np.arange(BANDS)) * np.sqrt(2 / BANDS)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)
