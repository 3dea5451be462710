"""Where somebody speaks in a recording: a probability for each 32 ms, and the segments that follow from them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines import sound
from pipelines.datasets.speech_in_noise import STEP, STEPS
from pipelines.sound.folders import RATE
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, Query, SplitEvaluation

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

CONTEXT = 64  # samples before a step that it takes, too
BELOW = 0.15  # a segment ends where the probability is as much below the threshold of its start
MARGIN = 0.03  # seconds that are added to a segment on each side


@dataclass(frozen=True)
class SpeechDetection(BaseTask):
    """Speech in steps of 512 samples at 16 kHz; the model returns `speech` (B, T) in [0, 1] of samples (B, T * 512)."""

    threshold: float = 0.5  # probability from which a segment starts
    shortest: float = 0.25  # seconds of the shortest segment
    pause: float = 0.1  # seconds of the shortest pause between two segments
    units: int = 128  # size of the LSTM

    title = "speech detection"
    required_features = ("samples", "speech")
    accepts = "files"
    output = "speech"

    @property
    def _states(self) -> dict[str, int]:
        return {"context": CONTEXT, "hidden": self.units, "cell": self.units}

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the states."""
        return {"units": self.units}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (samples float32 (32768,) in [-1, 1], whether somebody speaks float32 (64,))."""
        import tensorflow as tf

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.cast(example["samples"], tf.float32) / 2.0**15, example["speech"]

        return pipelines.feed(split, decode=decode)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the binary cross-entropy of each step."""
        import keras

        return {"loss": keras.losses.BinaryCrossentropy()}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (samples -> speech), and `step` (chunk, state... -> speech, next_state...)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import step_endpoint, tensor_endpoint

        audio = {"meaning": "audio", "low": -1.0, "high": 1.0, "sample_rate": RATE}
        samples = Tensor("samples", "float32", (None, STEPS * STEP), **audio)
        whole = tensor_endpoint(served, [samples], [Tensor("speech", "float32", (None, STEPS))])
        one = step_endpoint(
            lambda *values: advance(served, *values),
            Tensor("chunk", "float32", (1, STEP), **audio),
            [Tensor(name, "float32", (1, size), "state") for name, size in self._states.items()],
            Tensor("speech", "float32", (1,)),
        )
        return Contract((whole, one))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the area under the ROC curve of the steps, their accuracy, precision and recall."""
        from sklearn import metrics

        speech, score = truth.ravel() > 0.5, outputs["speech"].ravel()
        spoken = score >= self.threshold
        return {
            "auc": float(metrics.roc_auc_score(speech, score)) if 0 < speech.sum() < speech.size else 0.5,
            "accuracy": float(np.mean(spoken == speech)),
            "precision": float(speech[spoken].mean()) if spoken.any() else 0.0,
            "recall": float(spoken[speech].mean()) if speech.any() else 0.0,
        }

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with the loudness of each step, as a share of the largest in its recording."""
        loudness = np.sqrt(np.mean(evaluation.inputs["samples"].reshape(-1, STEPS, STEP) ** 2, axis=-1))
        share = loudness / np.maximum(loudness.max(axis=1, keepdims=True), 1e-12)
        return dataclasses.replace(evaluation, baselines={"loudness": {"speech": share}})

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the first two seconds of a sound file; DataError if it cannot be read."""
        samples = sound.read(argument, RATE)[: STEPS * STEP]
        return {"samples": np.pad(samples, (0, STEPS * STEP - len(samples)))}

    def explain(self, query: Query) -> Prediction:
        """Return the segments of a whole recording, by the endpoint `step`: start and end in seconds, and mean."""
        recorded = Path(query.argument).is_file()
        samples = sound.read(query.argument, RATE) if recorded else np.asarray(query.inputs["samples"])
        steps = np.pad(samples, (0, -len(samples) % STEP)).reshape(-1, 1, STEP)
        states = {name: np.zeros((1, size), np.float32) for name, size in self._states.items()}
        speech = np.empty(len(steps))
        for i, step in enumerate(steps):
            outputs = query.call("step", {"chunk": step, **states})
            states = {name: outputs[f"next_{name}"] for name in states}
            speech[i] = outputs["speech"][0]
        rows = tuple(
            {"input": query.argument, "start": round(start / RATE, 3), "end": round(end / RATE, 3)}
            | {"probability": round(float(speech[start // STEP : -(-end // STEP)].mean()), 4)}
            for start, end in self.segments(speech, len(samples))
        )
        lines = tuple(f"{row['start']:7.2f} to {row['end']:7.2f} s  {row['probability']:.0%}" for row in rows)
        return Prediction(lines=lines or ("nobody speaks",), rows=rows)

    def segments(self, speech: np.ndarray, length: int) -> list[tuple[int, int]]:
        """Return start and end of each segment in samples, of probabilities (T,) of a recording of `length` samples."""
        found, start, quiet = [], None, None
        for i, probability in enumerate(speech):
            if probability >= self.threshold:
                start, quiet = i * STEP if start is None else start, None
            elif start is not None and probability < max(self.threshold - BELOW, 0.01):
                quiet = i * STEP if quiet is None else quiet
                if i * STEP - quiet >= self.pause * RATE:
                    found.append((start, quiet))
                    start = quiet = None
        found += [] if start is None else [(start, length)]
        found = [(start, end) for start, end in found if end - start > self.shortest * RATE]
        low = [0, *((a[1] + b[0]) // 2 for a, b in itertools.pairwise(found)), length]  # and high, of the next
        margin = int(MARGIN * RATE)
        return [(max(a - margin, low[i]), min(b + margin, low[i + 1])) for i, (a, b) in enumerate(found)]


def advance(model: keras.Model, chunk: Any, context: Any, hidden: Any, cell: Any) -> list[Any]:
    """Return what `silero_vad` says of a chunk (1, 512) after the states, (1,), and the next states, in a graph."""
    import keras

    windows = model.get_layer("windows")
    x, states = windows.step(chunk[None], context[None]), []
    for layer in model.layers[model.layers.index(windows) + 1 :]:
        if isinstance(layer, keras.layers.LSTM):
            x, states = layer.cell(x[0], [hidden, cell])
        else:
            x = layer(x)
    return [keras.ops.reshape(x, (1,)), chunk[:, -CONTEXT:], *states]
