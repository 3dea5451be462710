"""Where somebody speaks: segments, steps with states, the conversion of Silero VAD, and predictions for recordings."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from export.parity import recurrent_steps
from export.parity.noise_floor import Policy
from export.protocol import calls
from export.protocol.arrays import Outputs
from tests.pipelines.sound.test_sound import write
from tests.zoo.conftest import data_dir
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


@pytest.mark.parametrize("lost", ["", "context", "hidden"])
def test_64_chunks_with_states_are_one_call(lost):
    """As the certificate compares them, which reports a state that is lost."""
    task, outputs, model = dataclasses.replace(SpeechDetection(), units=8), {}, zoo.build("silero_vad", **SETTINGS)
    for variable in model.weights:  # such that every state has an effect
        variable.assign(np.random.default_rng(variable.shape.num_elements()).normal(0, 0.2, variable.shape))
    contract = task.contract(model, None)
    for endpoint in contract.endpoints:
        call = tf.function(endpoint.call)

        def run(inputs, call=call):
            results = {k: v.numpy() for k, v in call({k: tf.constant(v) for k, v in inputs.items()}).items()}
            return {k: v * 0 if lost and k == f"next_{lost}" else v for k, v in results.items()}

        ((inputs, chain),) = recurrent_steps.inputs_for(endpoint)
        speech = calls.in_steps(run, inputs, chain)["speech"] if chain else run(inputs)["speech"]
        outputs[endpoint.name] = Outputs({(recurrent_steps.NAME, "main", "speech"): speech})
    messages = recurrent_steps.compare_steps(contract, outputs, Policy())
    assert len(messages) == bool(lost)


def test_silence_has_no_magnitude():
    """And no NaN: 1e-7 in each of 129 frequencies changed probabilities by 1e-4."""
    silence = zoo.build("silero_vad", **SETTINGS).get_layer("magnitude")(np.zeros((1, 4, 4, 258), "float32"))
    np.testing.assert_allclose(silence, 0, atol=1e-12)


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


@pytest.mark.extended
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
