"""Words in a second of sound: a small network of depthwise-separable convolutions on mel-frequency cepstra.

Reference: Zhang, Suda, Lai, Chandra 2017, arXiv:1711.07128 (DS-CNN of "Hello Edge").
Train:     python -m zoo.train keywords                         (spoken numbers)
           python -m zoo.train keywords --data-dir FOLDER       (a folder per word, as Speech Commands has them)
Use:       python -m zoo.predict keywords word.wav
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipelines.sound.folders import LENGTH, RATE
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card, Weights
from zoo.tasks.keywords import KeywordClassification

# === Layers ===

HOP, WINDOW = 320, 640  # samples: 20 and 40 ms
BANDS, LOWEST, HIGHEST = 40, 20.0, 4000.0  # Hz
FLOOR = 1e-3  # is added to the amplitude of a band, so that silence has a logarithm


@keras.saving.register_keras_serializable("zoo")
class CepstralCoefficients(layers.Layer):
    """Mel-frequency cepstral coefficients of samples at 16 kHz, as matrix multiplications, which every runtime has.

    Shapes: samples (B, N) float32, N a multiple of 320 -> (B, N / 320 - 1, coefficients) float32.

    Of windows of 40 ms (Hann), every 20 ms: the amplitudes at multiples of 25 Hz, their weighted sums in 40 triangular
    bands of equal width on the mel scale from 20 to 4000 Hz, the logarithms of these, and of them the first values of
    the discrete cosine transform (type 2, orthonormal).

    Args:
        coefficients: Number of values of each window, at most 40.
    """

    def __init__(self, coefficients: int = 10, **kwargs: Any) -> None:
        super().__init__(
            dtype="float32", trainable=False, **{k: v for k, v in kwargs.items() if k not in ("dtype", "trainable")}
        )
        self.coefficients = coefficients

    def call(self, samples: Any) -> Any:
        """Return (B, N / 320 - 1, coefficients)."""
        hops = ops.reshape(samples, (-1, samples.shape[1] // HOP, HOP))
        windows = ops.concatenate([hops[:, :-1], hops[:, 1:]], axis=-1)
        cosines, sines = fourier()
        real, imaginary = ops.matmul(windows, cosines), ops.matmul(windows, sines)
        amplitudes = ops.sqrt(ops.square(real) + ops.square(imaginary))
        bands = ops.log(ops.matmul(amplitudes, mel_bands()) + FLOOR)
        return ops.matmul(bands, cosine_transform()[:, : self.coefficients])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the coefficients."""
        return (input_shape[0], input_shape[1] // HOP - 1, self.coefficients)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "coefficients": self.coefficients}


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


# === Functional Model ===


def _norm_relu(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x))


@register(
    data="spoken_numbers",
    task=KeywordClassification(),
    recipes={
        "default": Recipe(
            epochs=20,
            batch_size=64,
            learning_rate=2e-3,
            warmup=0.1,
            weight_decay=0.01,
            augment="words",
            label_smoothing=0.1,
        )
    },
    tiny={"filters": 8, "blocks": 1},
    card=Card(
        paper="Zhang, Suda, Lai, Chandra 2017, arXiv:1711.07128",
        expect={"accuracy": 0.7083},
        command="python -m zoo.train keywords",
        measured_on="2 cores of an AMD EPYC (AVX-512), shared with others, float32: 6 minutes; seed 0",
        published="0.944 on the twelve classes of Speech Commands (Zhang 2017), whose training data are people",
        notes="One word in one second: it does not find words in a conversation. Frequencies above 4 kHz are not used.",
        data_notes="Trained on 24 numbers spoken by two synthesisers, on no person. The test is one recording of each "
        "word by each of two people: 48, so that the interval is wide. Another word gets one of their names.",
    ),
    weights={
        "default": Weights(
            "keywords.weights.h5", sha256="15928b8bfaa8acee368bbfed827379abd7fa13fa23f9d01a7af9f05aeb335503"
        )
    },
)
def keywords(
    num_classes: int = 24, filters: int = 64, blocks: int = 4, coefficients: int = 10, dropout: float = 0.2
) -> keras.Model:
    """The word in a second of sound, with the small DS-CNN of Hello Edge on cepstra computed in the graph.

    Shapes: samples (B, 16000) float32 in [-1, 1], at 16 kHz -> logits (B, num_classes) float32.

    Args:
        num_classes: Number of words; determined by the data.
        filters: Filters of each convolution: 64, 172 or 276 in the paper.
        blocks: Number of depthwise-separable convolutions: 4 or 5 in the paper.
        coefficients: Cepstral coefficients of a window, at most 40.
        dropout: Share of the pooled features that are set to zero in a training step.
    """
    samples = keras.Input((LENGTH,), name="samples")
    x = CepstralCoefficients(coefficients, name="cepstra")(samples)
    x = layers.BatchNormalization(momentum=0.9, name="cepstra_norm")(x)
    x = layers.Reshape((*x.shape[1:], 1), name="image")(x)
    x = layers.Conv2D(filters, (10, 4), (2, 2), padding="same", use_bias=False, name="conv")(x)
    x = _norm_relu(x, "conv")
    for i in range(1, blocks + 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise{i}")(x)
        x = _norm_relu(x, f"depthwise{i}")
        x = _norm_relu(layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{i}")(x), f"pointwise{i}")
    x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(samples, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="keywords")
