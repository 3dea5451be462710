"""Candidates for sounds: a constant, and logistic regression on statistics of cepstra."""

import functools

import keras
from keras import layers, ops

from pipelines.sound.folders import LENGTH
from zoo.candidates import linear
from zoo.core.task import Candidate
from zoo.modeling.layers import BANDS, CepstralCoefficients

PARTS = 5  # of equal length, of which each has its own means


def ladder() -> dict[str, Candidate]:
    """Return the candidates of a second of sound, the cheapest first."""
    return {
        "constant": Candidate("most frequent class", spectrum, linear.fit_classes_alone, fast=True),
        "linear": Candidate("logistic regression on the mean and deviation of cepstra", spectrum, linear.fit_last),
        "parts": Candidate(
            f"the same, with means of {PARTS} parts of the time",
            functools.partial(spectrum, parts=PARTS),
            linear.fit_last,
        ),
    }


def spectrum(name: str, num_classes: int, parts: int = 0) -> keras.Model:
    """Return one `Dense` layer on mean and standard deviation of cepstra over the time, and on means of its parts."""
    samples = keras.Input((LENGTH,), name="samples")
    x = CepstralCoefficients(BANDS, name="cepstra")(samples)  # as many as bands: no information is lost
    mean = ops.mean(x, axis=1, keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(x - mean), axis=1) + 1e-6)
    features = [layers.Flatten(name="means")(mean), deviation]
    if parts:
        means = layers.AveragePooling1D(x.shape[1] // parts, name="pool")(x)
        features.append(layers.Flatten(name="means_of_parts")(means))
    x = layers.Concatenate(name="statistics")(features)
    return keras.Model(samples, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)
