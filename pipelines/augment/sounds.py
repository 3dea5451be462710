"""Augmentation of recordings by the key of each: (samples (B, N) float32 in [-1, 1], keys) -> the same shape.

The same key gives a recording the same augmentation in any batch and on any number of threads (see
`pipelines.stateless_random`). Random amounts are looked up in tables, because the last bits of computed powers would
depend on the position in the batch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import stateless_random
from zoobase import suggestion
from zoobase.errors import USAGE, DataError

RATE = 16_000
NAMED = {"words": "speed=0.3,shift=0.2,tilt=0.9,gain=12,noise=5,recorded=5"}
LARGEST = {"speed": 0.5, "shift": 0.5, "tilt": 0.9, "gain": 60.0, "noise": 60.0, "recorded": 60.0}
RANGE = 30.0  # decibels from the loudest to the softest noise
_SPEED, _SHIFT, _TILT, _GAIN, _LEVEL, _WHITE, _CHOICE, _RECORDED_LEVEL = range(16, 24)  # stream ids
_STEPS = 1024  # entries of a table


def change_speed(samples: tf.Tensor, keys: tf.Tensor, *, fraction: float = 0.15) -> tf.Tensor:
    """Play each recording faster or slower about its middle, which also moves its pitch and its formants."""
    factors = _amounts(keys, _SPEED, lambda amount: 1 + amount, fraction)
    middle = tf.cast(tf.shape(samples)[1] - 1, tf.float32) / 2
    positions = (tf.cast(tf.range(tf.shape(samples)[1]), tf.float32) - middle) * factors + middle
    whole = tf.floor(positions)
    part, index = positions - whole, tf.cast(whole, tf.int32)
    return (1 - part) * _pick(samples, index) + part * _pick(samples, index + 1)


def shift_time(samples: tf.Tensor, keys: tf.Tensor, *, seconds: float = 0.1) -> tf.Tensor:
    """Move each recording earlier or later by whole samples; what enters is silent."""
    most = round(seconds * RATE)
    moved = stateless_random.integers(keys, _SHIFT, 1, -most, most)
    return _pick(samples, tf.range(tf.shape(samples)[1]) - moved)


def tilt(samples: tf.Tensor, keys: tf.Tensor, *, largest: float = 0.6) -> tf.Tensor:
    """Add or subtract up to `largest` times the previous sample, as other microphones and rooms do."""
    before = tf.pad(samples[:, :-1], [[0, 0], [1, 0]])
    return samples + _amounts(keys, _TILT, lambda amount: amount, largest) * before


def gain(samples: tf.Tensor, keys: tf.Tensor, *, decibels: float = 12.0) -> tf.Tensor:
    """Make each recording softer or louder by at most `decibels`."""
    return samples * _amounts(keys, _GAIN, lambda amount: 10 ** (amount / 20), decibels)


def white_noise(samples: tf.Tensor, keys: tf.Tensor, *, decibels: float = 15.0) -> tf.Tensor:
    """Add normal noise at a signal-to-noise ratio uniform from `decibels` to 30 dB more."""
    noise = stateless_random.normal(keys, _WHITE, tf.shape(samples)[1])
    return samples + noise * _noise_level(samples, keys, _LEVEL, decibels)


def recorded_noise(samples: tf.Tensor, keys: tf.Tensor, *, noise: tf.Tensor, decibels: float = 10.0) -> tf.Tensor:
    """Add one of several recordings of noise (M, N) to each recording; decibels as in `white_noise`."""
    chosen = stateless_random.integers(keys, _CHOICE, 1, 0, tf.shape(noise)[0] - 1)[:, 0]
    picked = tf.gather(noise, chosen)
    loudness = tf.maximum(_deviation(picked), 1e-4)  # nearly silent noise is not made loud
    return samples + picked / loudness * _noise_level(samples, keys, _RECORDED_LEVEL, decibels)


_OPERATIONS: dict[str, tuple[Callable[..., tf.Tensor], str]] = {  # setting: operation and its argument, in order
    "speed": (change_speed, "fraction"),
    "shift": (shift_time, "seconds"),
    "tilt": (tilt, "largest"),
    "gain": (gain, "decibels"),
    "noise": (white_noise, "decibels"),
}


def policy(name: str, noise: np.ndarray | None = None) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return the argument of `feed(augment=...)` for a policy of recordings; None for "none".

    Args:
        name: "none"; "words"; or settings such as "shift=0.1,gain=6": speed and tilt as fractions, shift in seconds,
            gain in decibels, noise and recorded as the smallest ratio of signal to noise in decibels. They are applied
            in this order. Values are clipped to [-1, 1] in the end.
        noise: float32 (M, N), recordings for `recorded`, which "words" leaves out without them.

    Raises:
        DataError: A setting is unknown, its value is not a number or too large, or there are no recordings.
    """
    if name == "none":
        return None
    settings = _settings(NAMED.get(name, name))
    recordings = None if noise is None or not len(noise) else tf.constant(noise, tf.float32)
    if recordings is None and "recorded" in settings and name not in NAMED:
        raise DataError('augmentation "recorded" needs recordings of noise: a folder _background_noise_', USAGE)

    def augment(batch: tuple, keys: tf.Tensor) -> tuple:
        samples, *others = batch
        shape = samples.shape
        for setting, (operation, argument) in _OPERATIONS.items():
            if setting in settings:
                samples = operation(samples, keys, **{argument: settings[setting]})
        if "recorded" in settings and recordings is not None:
            samples = recorded_noise(samples, keys, noise=recordings, decibels=settings["recorded"])
        return tf.ensure_shape(tf.clip_by_value(samples, -1.0, 1.0), shape), *others

    return augment


def _settings(text: str) -> dict[str, float]:
    settings = {}
    for setting in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = setting.partition("=")
        if name not in LARGEST:
            raise DataError(
                f'there is no augmentation "{name}" of sounds; {suggestion(name, (*LARGEST, *NAMED))}', USAGE
            )
        try:
            settings[name] = float(value)
        except ValueError:
            raise DataError(f'augmentation "{name}" needs a number, such as {name}=0.1, not "{value}"', USAGE) from None
        if not 0 <= settings[name] <= LARGEST[name]:
            raise DataError(f'augmentation "{setting}" is outside 0 to {LARGEST[name]:g}', USAGE)
    return settings


def _amounts(keys: tf.Tensor, stream: int, function: Callable[[Any], Any], largest: float) -> tf.Tensor:
    """Return float32 (B, 1): `function` of random amounts from -largest to largest."""
    table = tf.constant(function(np.linspace(-largest, largest, _STEPS)), tf.float32)
    return tf.gather(table, stateless_random.integers(keys, stream, 1, 0, _STEPS - 1))


def _noise_level(samples: tf.Tensor, keys: tf.Tensor, stream: int, decibels: float) -> tf.Tensor:
    """Return the deviation of the noise (B, 1), `decibels` and up to `RANGE` more below that of the samples."""
    ratio = _amounts(keys, stream, lambda amount: 10 ** (-(amount + RANGE / 2 + decibels) / 20), RANGE / 2)
    return _deviation(samples) * ratio


def _deviation(samples: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(samples), axis=1, keepdims=True))


def _pick(samples: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return the samples (B, N) at the indices (B, N), 0 outside."""
    count = tf.shape(samples)[1]
    inside = (index >= 0) & (index < count)
    picked = tf.gather(samples, tf.clip_by_value(index, 0, count - 1), axis=1, batch_dims=1)
    return tf.where(inside, picked, 0.0)
