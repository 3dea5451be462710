"""The pitch of a voice or an instrument.

Reference: Kim 2018, arXiv:1802.06182 (CREPE, github.com/marl/crepe).
Use:       python -m zoo.predict crepe song.wav
           zoo.build("crepe", weights="default")
Train:     python -m zoo.train crepe                (synthesised tones; --init default starts from the weights of CREPE)
"""

from typing import Any

import keras
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card, Variant
from zoo.tasks.pitch import LENGTH, PITCHES, PitchEstimation
from zoo.weights.crepe import WEIGHTS

FILTERS, WIDTHS = (32, 4, 4, 4, 8, 16), (512, 64, 64, 64, 64, 64)


@keras.saving.register_keras_serializable("zoo")
class FrameNormalization(layers.Layer):
    """Frames (B, L) with mean 0 and deviation 1; a silent or constant frame becomes zeros.

    The first sample is subtracted before, which makes a constant frame exactly 0.
    """

    def call(self, frames: Any) -> Any:
        """Return (B, L)."""
        x = frames - frames[:, :1]
        x = x - ops.mean(x, axis=1, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(x), axis=1, keepdims=True))
        return x / ops.maximum(deviation, 1e-8)


@register(
    data="tones",
    task=PitchEstimation(),
    recipes={"default": Recipe(epochs=10, batch_size=32, learning_rate=1e-3)},
    tiny={"capacity": 1, "task.hop": 1600},
    card=Card(
        paper="Kim 2018, arXiv:1802.06182",
        notes="One voice at a time, from 32.7 to 2006 Hz, at 16 kHz; other rates are converted.",
    ),
    weights={"default": WEIGHTS["crepe"].weights()},
    variants={
        "crepe_small": Variant(
            summary="Pitch as by crepe, with the weights of CREPE small: better in noise, in twice the time.",
            arguments={"capacity": 8},
            weights={"default": WEIGHTS["crepe_small"].weights()},
        ),
        "crepe_full": Variant(
            summary="Pitch as by crepe, with the weights of CREPE full: 22 million parameters, 124 MB to download.",
            arguments={"capacity": 32},
            weights={"default": WEIGHTS["crepe_full"].weights()},
        ),
    },
)
def crepe(capacity: int = 4, dropout: float = 0.25) -> keras.Model:
    """Pitch of frames of 64 ms, as 360 values 20 cents apart, with the weights of CREPE tiny.

    Shapes: frame (B, 1024) float32, samples at 16 kHz -> salience (B, 360) float32 in [0, 1].
    """
    frame = keras.Input((LENGTH,), name="frame")
    x = layers.Reshape((LENGTH, 1), name="samples")(FrameNormalization(name="normalise")(frame))
    for i, (filters, width) in enumerate(zip(FILTERS, WIDTHS, strict=True), start=1):
        convolution = layers.Conv1D(
            capacity * filters, width, 4 if i == 1 else 1, padding="same", activation="relu", name=f"conv{i}"
        )
        x = layers.BatchNormalization(name=f"conv{i}_norm")(convolution(x))
        x = layers.MaxPooling1D(2, name=f"conv{i}_pool")(x)
        x = layers.Dropout(dropout, name=f"conv{i}_dropout")(x)
    salience = layers.Dense(PITCHES, activation="sigmoid", dtype="float32", name="classifier")
    return keras.Model(frame, salience(layers.Flatten(name="flatten")(x)), name="crepe")
