"""Pitch: the conversion of CREPE, decoding, and predictions for recordings."""

import h5py
import numpy as np
import pytest

import zoo
from tests.pipelines.sound.test_sound import write
from zoo import predict
from zoo.tasks import pitch
from zoo.weights import crepe
from zoobase.errors import MissingError, ZooError


def as_original(model):
    """Return the weights of a model under the names of the original."""
    return {v.path.replace("_norm", "-BN"): np.asarray(v) for v in model.weights}


def test_conversion_takes_every_value_once():
    model, other = zoo.build("crepe", capacity=1), zoo.build("crepe", capacity=1)
    values = as_original(model)
    crepe.CREPE.assign(other, values)
    frame = np.random.default_rng(0).normal(size=(2, 1024)).astype("float32")
    np.testing.assert_array_equal(other(frame), model(frame))
    with pytest.raises(ZooError, match="more values than the model: x"):
        crepe.CREPE.assign(other, {**values, "x": np.zeros(1)})
    with pytest.raises(ZooError, match=r"no conv2-BN/beta"):
        crepe.CREPE.assign(other, {k: v for k, v in values.items() if k != "conv2-BN/beta"})


def test_the_values_of_a_file_are_read_by_layer(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["conv1/conv1_3/kernel:0"] = np.ones((2, 3))
    values = crepe.read(tmp_path / "x.h5")
    assert {name: value.shape for name, value in values.items()} == {"conv1/kernel": (2, 3)}


def test_frames_are_normalised_and_constant_ones_are_zero():
    layer = zoo.build("crepe", capacity=1).get_layer("normalise")
    frame = np.random.default_rng(0).normal(3, 2, (1, 1024)).astype("float32")
    np.testing.assert_allclose(layer(frame), (frame - frame.mean()) / frame.std(), atol=1e-4)
    np.testing.assert_array_equal(layer(np.full((1, 1024), 0.3, "float32")), np.zeros((1, 1024)))


def test_the_pitch_is_the_mean_around_the_largest_value():
    salience = np.zeros((3, 360), "float32")
    salience[0, 100], salience[1, [200, 201]], salience[2, [0, 300]] = 0.9, 0.5, (0.8, 0.7)
    expected = [pitch.CENTS[100], (pitch.CENTS[200] + pitch.CENTS[201]) / 2, pitch.CENTS[0]]
    np.testing.assert_allclose(pitch.cents_of(salience), expected)
    inside = pitch.decode_tensor(salience)
    np.testing.assert_allclose(inside["frequency"], 10 * 2 ** (np.array(expected) / 1200), rtol=1e-5)
    np.testing.assert_allclose(inside["confidence"], [0.9, 0.5, 0.8])


def test_the_metrics_count_cents():
    target = np.exp(-(((pitch.CENTS - np.array([[3000], [4000], [5000]])) / 25) ** 2) / 2)
    shifted = np.exp(-(((pitch.CENTS - np.array([[3010], [5200], [5100]])) / 25) ** 2) / 2)
    metrics = pitch.PitchEstimation().metrics({"salience": shifted}, target, None)
    assert metrics["raw_pitch_accuracy"] == pytest.approx(1 / 3)
    assert metrics["raw_chroma_accuracy"] == pytest.approx(2 / 3)
    assert metrics["median_error_cents"] == pytest.approx(100, abs=2)
    assert [pitch.note(f) for f in (440, 261.6, 32.7, 1975.5)] == ["A4", "C4", "C1", "B6"]


def test_recordings_are_predicted_by_their_names(trained, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    path = write(tmp_path / "a.wav", tone, 16000)
    for source in (trained("crepe"), trained("crepe") / "bundle"):
        rows = predict.run(source, [str(path)]).rows
        assert [row["seconds"] for row in rows] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert all(32 < row["frequency"] < 2100 and 0 <= row["confidence"] <= 1 for row in rows)
    with pytest.raises(MissingError, match="cannot read"):
        predict.run(trained("crepe"), [str(tmp_path / "nowhere.wav")])
