"""Recordings: widths, channels, rates, damaged files; frames in Python and in a graph; generated tones."""

import wave

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import sound
from pipelines.datasets import tones
from pipelines.sound.reading import resample
from zoobase.errors import DataError

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype("float32")


def write(path, samples, rate=8000, width=2, channels=1):
    """Write samples (N,) to every channel of a WAV file."""
    scaled = np.round(np.asarray(samples) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = scaled.view(np.uint8).reshape(-1, 4)[:, :width]
    raw = raw ^ 128 if width == 1 else raw
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(raw[:, None], channels, axis=1).tobytes())
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_every_width_are_read(width, channels, tmp_path):
    samples = sound.read(write(tmp_path / "x.wav", TONE, 8000, width, channels), 8000)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, TONE, atol=1.5 / 2 ** (8 * width - 1) + 1e-6)


def test_the_samples_are_those_of_tensorflow(tmp_path):
    path = write(tmp_path / "x.wav", TONE)
    expected, rate = tf.audio.decode_wav(path.read_bytes())
    assert rate == 8000
    np.testing.assert_array_equal(sound.read(path, 8000), expected[:, 0])


@pytest.mark.parametrize("rate", [16000, 6000, 11025])
def test_another_rate_keeps_the_tone(rate):
    samples = resample(TONE, 8000, rate)
    assert len(samples) == rate
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    inner = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(samples[inner], expected[inner], atol=2e-3)


def test_tones_above_the_new_rate_are_removed():
    high = np.sin(2 * np.pi * 3500 * np.arange(8000) / 8000)
    assert np.abs(resample(high, 8000, 4000)[400:-400]).max() < 1e-2


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"not a recording")
    with pytest.raises(DataError, match="is not a sound that libsndfile reads"):
        sound.read(tmp_path / "x.wav", 8000)
    with pytest.raises(DataError, match="cannot read"):
        sound.read(tmp_path / "nowhere.wav", 8000)
    content = write(tmp_path / "y.wav", TONE).read_bytes()
    (tmp_path / "y.wav").write_bytes(content[: len(content) // 2 + 1])
    assert 3900 < len(sound.read(tmp_path / "y.wav", 8000)) < 4000


@pytest.mark.parametrize("size", [0, 1, 159, 160, 5000])
def test_frames_in_python_and_in_a_graph_are_the_same(size):
    samples = np.random.default_rng(0).normal(size=size).astype("float32")
    expected = sound.frames(samples, 64, 160)
    assert expected.shape == (sound.count(size, 160), 64)
    inside = tf.function(lambda x: sound.frames_tensor(x, 64, 160))(tf.constant(samples))
    np.testing.assert_array_equal(inside, expected)
    if size > 400:
        np.testing.assert_array_equal(expected[2], samples[320 - 32 : 320 + 32])


def test_tones_are_the_same_each_time_and_have_their_pitch():
    frames, cents = tones.synthesise(50, 3)
    again, _ = tones.synthesise(50, 3)
    np.testing.assert_array_equal(frames, again)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(1024), 16384))
    for row, pitch in zip(spectrum, cents, strict=True):
        fundamental = 10 * 2 ** (pitch / 1200)
        near = row[np.abs(np.arange(8193) * 16000 / 16384 - fundamental) < 20]
        assert near.max() > 0.05 * row.max()
    data = pipelines.load("tones", split="80/10/10")
    assert data.info.counts == {"train": 4800, "validation": 600, "test": 600}
    with pytest.raises(DataError, match="are generated"):
        pipelines.load("tones", data_dir="x")
