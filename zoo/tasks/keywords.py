"""Words in recordings of one second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.sound import loudest, read
from pipelines.sound.folders import LENGTH, RATE, SILENCE
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate
from zoo.tasks.classifier import ClassifierTask
from zoobase.errors import DataError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class KeywordClassification(ClassifierTask):
    """Classification of one second at 16 kHz; the model takes samples and returns logits."""

    title = "keyword spotting"
    supports = frozenset({"augment", "label_smoothing"})
    required_features = ("samples", "label")
    accepts = "files"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes."""
        return {"num_classes": info.num_classes}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (samples float32 (16000,) in [-1, 1], label int64), augmented by the recipe's policy while training.

        The noise that the policy adds are the training examples of the class `_silence_`.
        """
        import tensorflow as tf

        from pipelines.augment import sounds

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.cast(example["samples"], tf.float32) / 2.0**15, example["label"]

        augment = None
        if training:
            noise, words = None, info.class_names or ()
            if SILENCE in words:
                silent = split.filter(lambda example: example["label"] == words.index(SILENCE))
                noise = np.array([samples for samples, _ in silent.map(decode).as_numpy_iterator()])
            augment = sounds.policy(recipe.augment, noise)
        return pipelines.feed(split, decode=decode, augment=augment)

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant and logistic regression on statistics of cepstra."""
        from zoo.candidates import sounds

        return sounds.ladder()

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (samples -> logits)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint
        from export.contract.preprocessing import SoundPreprocessing

        samples = Tensor(
            *("samples", "float32", (None, LENGTH), "audio"),
            low=-1.0,
            high=1.0,
            sample_rate=RATE,
            preprocessing=SoundPreprocessing(window="loudest"),
        )
        logits = Tensor("logits", "float32", (None, info.num_classes), "logits")
        return Contract((tensor_endpoint(served, [samples], [logits]),), labels=info.class_names)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the loudest second of a recording; DataError if it cannot be read, or is silent."""
        samples = read(argument, RATE)
        if not samples.any() and SILENCE not in (info.class_names or ()):
            raise DataError(f"{argument} is silent: there is no word in it")
        return {endpoint.inputs[0].name: loudest(samples, LENGTH)}
