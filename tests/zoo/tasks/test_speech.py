"""Where somebody speaks: segments, steps with states, the conversion of Silero VAD, and predictions for recordings."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from tests.pipelines.sound.test_sound import write
from tests.zoo.conftest import data_dir
from zoo.tasks import speech
from zoo.tasks.speech import SpeechDetection
from zoo.weights.silero import SILERO
from zoobase.errors import ZooError

SETTINGS = {"filters": 8, "units": 8}


def as_original(model):
    """Return the weights of a model under their names, and in the layout, of the original."""
    tensors = {}
    for variable in model.weights:
        name, value = SILERO.tensor_name(variable.path), np.asarray(variable)
        if "lstm" in variable.path:
            gates = np.concatenate([np.split(value.T, 4)[i] for i in (0, 3, 1, 2)])[None]
            value = np.concatenate([gates / 4, gates * 3 / 4], axis=1) if value.ndim == 1 else gates
        elif value.ndim == 4:
            value = value[0].T
        tensors[name] = value.T[..., None] if "classifier/kernel" in variable.path else value
    return tensors


def test_conversion_takes_every_value_once():
    model, other = zoo.build("silero_vad", **SETTINGS), zoo.build("silero_vad", **SETTINGS)
    for variable in model.weights:
        variable.assign(np.random.default_rng(variable.shape.num_elements()).normal(0, 0.2, variable.shape))
    SILERO.assign(other, as_original(model))
    samples = np.random.default_rng(0).normal(0, 0.1, (2, 1024)).astype("float32")
    np.testing.assert_allclose(other(samples), model(samples), atol=1e-5)
    with pytest.raises(ZooError, match=r"no output\.bias"):
        SILERO.assign(other, {k: v for k, v in as_original(model).items() if k != "output.bias"})


@pytest.mark.parametrize("loudness", [0.2, 0.0])
def test_64_steps_with_states_are_one_call(loudness):
    """And silence has neither NaN nor a magnitude: 1e-7 in each of 129 frequencies changed probabilities by 1e-4."""
    model, task = zoo.build("silero_vad", **SETTINGS), dataclasses.replace(SpeechDetection(), units=8)
    samples = np.random.default_rng(0).normal(0, loudness, (1, 64 * 512)).astype("float32")
    states, found = {name: np.zeros((1, size), "float32") for name, size in task._states.items()}, []
    step = tf.function(lambda *values: speech.advance(model, *values))
    for chunk in samples.reshape(64, 1, 512):
        value, *following = step(chunk, *states.values())
        states = dict(zip(states, following, strict=True))
        found.append(float(value[0]))
    np.testing.assert_allclose(model(samples)[0], found, atol=1e-6)
    np.testing.assert_allclose(model.get_layer("magnitude")(np.zeros((1, 4, 4, 258), "float32")), 0, atol=1e-12)


SEGMENTS = {  # of probabilities, one for each digit in tenths: as get_speech_timestamps of silero-vad 6.2.3 has them
    "0000": [],
    "9999999999": [(0, 5120)],
    "0099999999900": [(544, 6656)],
    "009999999900000099999999990000": [(544, 5600), (7712, 15360)],
    "00999999994444009999999999": [(544, 13312)],
    "0099999999000999999990000000": [(544, 11232)],
    "009999900000": [],
}


@pytest.mark.parametrize("digits", SEGMENTS)
def test_segments_are_those_of_the_original(digits):
    found = SpeechDetection().segments(np.array([int(digit) / 10 for digit in digits]), 512 * len(digits))
    assert found == SEGMENTS[digits]


def test_words_in_noise_are_labelled():
    data = pipelines.load("speech_in_noise", data_dir=data_dir("silero_vad"))
    rows = list(data.test.as_numpy_iterator())
    assert len(rows) == data.info.counts["test"]
    for row in rows:
        assert row["samples"].shape == (32_768,)
        assert set(row["speech"]) <= {0, 1}
    assert 0.05 < np.mean([row["speech"] for row in rows]) < 0.95
    assert any(row["speech"].all() != row["speech"].any() for row in rows)


@pytest.mark.extended
def test_a_recording_is_predicted_in_segments(trained, tmp_path):
    """In Keras and from the bundle, of more than the two seconds of `serving_default`."""
    file = tmp_path / "noise.wav"
    write(file, np.random.default_rng(0).normal(0, 0.1, 50_001).clip(-1, 1), 16_000)
    run = trained("silero_vad")
    predictor = zoo.load(run)
    everywhere = dataclasses.replace(predictor, task=dataclasses.replace(predictor.task, threshold=0.0))
    assert [(row["start"], row["end"]) for row in everywhere.predict(file)[0].rows] == [(0.0, 3.125)]
    one, other = (zoo.load(source).predict(file)[0].rows for source in (run, run / "bundle"))
    assert one == pytest.approx(other)
