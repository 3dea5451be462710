"""Augmentation of recordings: each operation against its definition, and by the keys of examples alone."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import stateless_random
from pipelines.augment import sounds
from zoobase.errors import DataError

KEYS = stateless_random.example_keys(3, 1, tf.range(24, dtype=tf.int64))
SAMPLES = tf.constant(np.random.default_rng(0).normal(0, 0.1, (24, 1600)).astype("float32"))
NOISE = np.random.default_rng(1).normal(0, 0.2, (5, 1600)).astype("float32")
ALL = "speed=0.2,shift=0.02,tilt=0.5,gain=6,noise=10,recorded=5"


def test_an_example_does_not_depend_on_its_batch():
    augment = sounds.policy(ALL, NOISE)
    whole = augment((SAMPLES, tf.range(24)), KEYS)[0].numpy()
    order = np.random.default_rng(0).permutation(24)[:13]
    part = tf.function(augment)((tf.gather(SAMPLES, order), tf.constant(order)), tf.gather(KEYS, order))
    np.testing.assert_array_equal(part[0], whole[order])
    np.testing.assert_array_equal(part[1], order)
    other = augment((SAMPLES, tf.range(24)), stateless_random.example_keys(3, 2, KEYS[:, 2]))[0].numpy()
    assert all((a != b).any() for a, b in zip(whole, other, strict=True))
    assert sounds.policy("none") is None


def test_shifts_enter_silence_and_keep_the_rest():
    shifted = sounds.shift_time(SAMPLES, KEYS, seconds=0.02).numpy()
    moves = []
    for before, after in zip(SAMPLES.numpy(), shifted, strict=True):
        (move,) = [m for m in range(-320, 321) if (after == np.pad(before, 320)[320 - m : 1920 - m]).all()]
        moves.append(move)
    assert min(moves) < -100 < 100 < max(moves)


def test_speed_moves_the_frequency_of_a_tone():
    tone = np.sin(2 * np.pi * 1000 * (np.arange(16000) - 7999.5) / 16000).astype("float32")
    changed = sounds.change_speed(tf.constant(np.tile(tone, (24, 1))), KEYS, fraction=0.2).numpy()
    peaks = np.abs(np.fft.rfft(changed[:, 2000:14000] * np.hanning(12000))).argmax(1) * 16000 / 12000
    table = 1 + np.linspace(-0.2, 0.2, 1024)
    factors = table[stateless_random.integers(KEYS, sounds._SPEED, 1, 0, 1023).numpy()[:, 0]]
    np.testing.assert_allclose(peaks, 1000 * factors, atol=1.4)
    assert factors.max() - factors.min() > 0.3


def test_gain_and_tilt():
    ratio = 20 * np.log10(sounds.gain(SAMPLES, KEYS, decibels=6).numpy() / SAMPLES.numpy())
    assert ratio.std(axis=1).max() < 1e-3
    assert -6.01 < ratio.min() < -3 < 3 < ratio.max() < 6.01
    tilted = sounds.tilt(SAMPLES, KEYS, largest=0.5).numpy() - SAMPLES.numpy()
    assert (tilted[:, 0] == 0).all()
    factors = tilted[:, 1:] / SAMPLES.numpy()[:, :-1]
    assert np.abs(np.median(factors, axis=1)).max() < 0.5001
    np.testing.assert_allclose(tilted[:, 1:], np.median(factors, axis=1)[:, None] * SAMPLES.numpy()[:, :-1], atol=1e-6)


@pytest.mark.parametrize("op", ["white_noise", "recorded_noise"])
def test_noise_has_the_ratio_that_is_asked_for(op):
    arguments = {"noise": tf.constant(NOISE)} if op == "recorded_noise" else {}
    added = getattr(sounds, op)(SAMPLES, KEYS, decibels=10, **arguments).numpy() - SAMPLES.numpy()
    ratio = 20 * np.log10(SAMPLES.numpy().std(1) / np.sqrt((added**2).mean(1)))
    assert 9.5 < ratio.min() < 18 < 32 < ratio.max() < 40.5
    if op == "recorded_noise":
        assert np.abs(np.corrcoef(np.concatenate([NOISE, added]))[:5, 5:]).max(0).min() > 0.999
    assert not getattr(sounds, op)(tf.zeros((24, 1600)), KEYS, **arguments).numpy().any()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shfit=0.1", "did you mean shift"),
        ("shift", "needs a number"),
        ("shift=2", "outside 0 to 0.5"),
        ("flip", "there is no"),
        ("recorded=5", "needs recordings of noise"),
    ],
)
def test_unknown_settings_are_refused(name, message):
    with pytest.raises(DataError, match=message):
        sounds.policy(name)
