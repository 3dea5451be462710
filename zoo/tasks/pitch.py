"""The pitch of a sound: of each frame a value for each of 360 pitches, 20 cents apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines import sound
from pipelines.datasets.tones import LENGTH, RATE, REFERENCE
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, Query

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed

PITCHES = 360
CENTS = np.linspace(0, 7180, PITCHES) + 1997.3794084376191  # of the pitches, from C1 (32.7 Hz) on
DEVIATION = 25.0  # cents, of the targets
AROUND = 4  # pitches on each side of the largest value, of whose values the mean is taken
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class PitchEstimation(BaseTask):
    """Pitch of frames of 1024 samples at 16 kHz; the model returns `salience` (B, 360)."""

    hop: int = 160  # samples from one frame of a recording to the next; 160 are 10 ms
    least: float = 0.5  # confidence from which a frame of a recording has a pitch

    title = "pitch estimation"
    required_features = ("frame", "cents")
    accepts = "files"
    output = "salience"
    counts_examples = True

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return nothing: the pitches are the same for all data."""
        return {}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (frame float32 (1024,), target float32 (360,): a bell around the pitch)."""
        import tensorflow as tf

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            distance = (tf.constant(CENTS, tf.float32) - example["cents"]) / DEVIATION
            return example["frame"], tf.exp(-(distance**2) / 2)

        return pipelines.feed(split, decode=decode)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the binary cross-entropy of each pitch."""
        import keras

        return {"loss": keras.losses.BinaryCrossentropy()}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (frame -> salience) and `pitch` (frame -> frequency in Hz, confidence)."""
        from export.contract import Contract, Endpoint, Tensor
        from export.contract.endpoints import tensor_endpoint

        frame = Tensor("frame", "float32", (None, LENGTH), "audio", low=-1.0, high=1.0, sample_rate=RATE)
        base = tensor_endpoint(served, [frame], [Tensor("salience", "float32", (None, PITCHES))])
        outputs = (Tensor("frequency", "float32", (None,)), Tensor("confidence", "float32", (None,)))
        pitch = Endpoint("pitch", (frame,), outputs, lambda values: decode_tensor(base.call(values)["salience"]))
        return Contract((base, pitch))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the share of frames whose pitch is within 50 cents, and within an octave of it; the median error."""
        error = np.abs(cents_of(outputs["salience"]) - cents_of(truth))
        chroma = np.abs((error + 600) % 1200 - 600)
        return {
            "raw_pitch_accuracy": float(np.mean(error < 50)),
            "raw_chroma_accuracy": float(np.mean(chroma < 50)),
            "median_error_cents": float(np.median(error)),
        }

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the loudest frame of a WAV file; DataError if it cannot be read."""
        frames = sound.frames(sound.read(argument, RATE), LENGTH, self.hop)
        return {"frame": frames[np.argmax(np.sum(frames**2, axis=1))]}

    def explain(self, query: Query) -> Prediction:
        """Return the pitch of every frame as rows, and as text the notes that last for five frames and more."""
        argument = query.argument
        frames = sound.frames(sound.read(argument, RATE), LENGTH, self.hop)
        pitch = query.call("pitch", {"frame": frames})
        rows = [
            {
                "input": argument,
                "seconds": round(i * self.hop / RATE, 4),
                "frequency": round(float(frequency), 2),
                "confidence": round(float(confidence), 4),
                "note": note(float(frequency)) if confidence >= self.least else "",
            }
            for i, (frequency, confidence) in enumerate(zip(pitch["frequency"], pitch["confidence"], strict=True))
        ]
        return Prediction(lines=tuple(self._lines(rows)), rows=tuple(rows))

    def _lines(self, rows: list[dict[str, Any]]) -> Iterator[str]:
        start = 0
        for i in range(1, len(rows) + 1):
            if i < len(rows) and rows[i]["note"] == rows[start]["note"]:
                continue
            if rows[start]["note"] and i - start >= 5:
                middle = float(np.median([row["frequency"] for row in rows[start:i]]))
                seconds = (rows[start]["seconds"], rows[i - 1]["seconds"])
                yield f"{seconds[0]:6.2f} to {seconds[1]:6.2f} s  {rows[start]['note']:>3}  {middle:7.1f} Hz"
            start = i


def cents_of(salience: np.ndarray) -> np.ndarray:
    """Return the pitch in cents, (B,), of values (B, 360): the mean around the largest, weighted by them."""
    best = salience.argmax(axis=1)[:, None]
    near = np.where(np.abs(np.arange(PITCHES) - best) <= AROUND, salience.astype(np.float64), 0)
    return (near * CENTS).sum(axis=1) / np.maximum(near.sum(axis=1), 1e-12)


def decode_tensor(salience: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return {"frequency": Hz, "confidence": largest value} of values (B, 360), each (B,) float32, in a graph."""
    import tensorflow as tf

    best = tf.argmax(salience, axis=1, output_type=tf.int32)[:, tf.newaxis]
    near = tf.where(tf.abs(tf.range(PITCHES) - best) <= AROUND, salience, 0.0)
    middle = tf.gather(tf.constant(CENTS, tf.float32), best[:, 0])
    steps = tf.cast(tf.range(PITCHES) - best, tf.float32) * np.float32(CENTS[1] - CENTS[0])
    offset = tf.reduce_sum(near * steps, axis=1) / tf.maximum(tf.reduce_sum(near, axis=1), 1e-12)
    frequency = REFERENCE * tf.pow(2.0, (middle + offset) / 1200)
    return {"frequency": frequency, "confidence": tf.reduce_max(salience, axis=1)}


def note(frequency: float) -> str:
    """Return the name of the nearest note: "A4" for 440 Hz."""
    number = round(69 + 12 * np.log2(frequency / 440))
    return f"{NOTES[number % 12]}{number // 12 - 1}"
