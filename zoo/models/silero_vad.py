"""Where somebody speaks in a recording, or in a stream of samples.

Reference: Silero Team 2021, github.com/snakers4/silero-vad (Silero VAD 6).
Use:       python -m zoo.predict silero_vad recording.wav
           zoo.load("silero_vad").predict("recording.wav")
Train:     python -m zoo.train silero_vad --init default       (words in noise; --data-dir FOLDER of your own)
"""

from typing import Any

import keras
from keras import layers, ops

from pipelines.datasets.speech_in_noise import STEP
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.speech import CONTEXT, SpeechDetection
from zoo.weights.silero import SILERO

PADDING = 64  # samples of reflection padding behind a window
FREQUENCIES = 129

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class WindowsWithContext(layers.Layer):
    """Samples (B, T * 512) -> (B, T, 640, 1): 64 before a window, the window, and its reflection padding."""

    def call(self, samples: Any) -> Any:
        """Return the windows; before the first there is silence."""
        windows = ops.reshape(samples, (ops.shape(samples)[0], -1, STEP))
        return self.step(windows, ops.pad(windows[:, :-1, -CONTEXT:], [[0, 0], [1, 0], [0, 0]]))

    def step(self, windows: Any, before: Any) -> Any:
        """Return (B, T, 640, 1) of windows (B, T, 512) and the samples before them (B, T, 64)."""
        joined = ops.concatenate([before, windows], axis=-1)
        return ops.expand_dims(ops.pad(joined, [[0, 0], [0, 0], [0, PADDING]], mode="reflect"), -1)


@keras.saving.register_keras_serializable("zoo")
class Magnitude(layers.Layer):
    """Real and imaginary parts (..., 2 * F) -> magnitudes (..., F); the gradient of silence is 0, not NaN."""

    def call(self, parts: Any) -> Any:
        """Return the magnitudes."""
        real, imaginary = ops.split(parts, 2, axis=-1)
        return ops.sqrt(ops.maximum(ops.square(real) + ops.square(imaginary), 1e-30))


# === Functional Model ===


@register(
    data="speech_in_noise",
    task=SpeechDetection(),
    recipes={"default": Recipe(epochs=3, batch_size=32, learning_rate=3e-4, warmup=0.1, clip_norm=1.0)},
    tiny={"filters": 8, "task.units": 8},
    card=Card(
        paper="Silero Team 2021, github.com/snakers4/silero-vad",
        licence="MIT",
        published="0.96 is the area under the ROC curve that its makers state for version 5 on 17 hours of eight data "
        "sets (0.73 by WebRTC); github.com/snakers4/silero-vad/wiki/Quality-Metrics. The weights here are version 6.",
        notes="16 kHz, other rates are converted. Singing, and voices of a television, are speech to it, too.",
        data_notes="The default data is single words in generated noise, labelled by loudness: it shows that an "
        "artifact answers alike, and is no benchmark.",
    ),
    weights={"default": SILERO.weights()},
)
def silero_vad(filters: int = 128, units: int = 128) -> keras.Model:
    """Where somebody speaks: a probability for each 32 ms, with the weights of Silero VAD and its state.

    Shapes: samples (B, T * 512) float32 in [-1, 1], at 16 kHz -> speech (B, T) float32 in [0, 1].

    Args:
        filters: Filters of the first and the last convolution; the two between have half of them.
        units: Size of the LSTM, by the setting task.units.
    """
    samples = keras.Input((None,), name="samples")
    x = WindowsWithContext(name="windows")(samples)
    x = layers.Conv2D(2 * FREQUENCIES, (1, 256), (1, 128), use_bias=False, trainable=False, name="fourier")(x)
    x = Magnitude(name="magnitude")(x)
    for i, (size, stride) in enumerate(((filters, 1), (filters // 2, 2), (filters // 2, 2), (filters, 1)), start=1):
        x = layers.ZeroPadding2D((0, 1), name=f"conv{i}_pad")(x)
        x = layers.Conv2D(size, (1, 3), (1, stride), activation="relu", name=f"conv{i}")(x)
    x = layers.Reshape((-1, filters), name="features")(x)
    x, *_ = layers.LSTM(units, return_sequences=True, return_state=True, name="lstm")(x)
    x = layers.Dense(1, activation="sigmoid", dtype="float32", name="classifier")(layers.ReLU(name="relu")(x))
    return keras.Model(samples, layers.Reshape((-1,), name="speech")(x), name="silero_vad")
