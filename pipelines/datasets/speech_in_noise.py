"""Spoken numbers at random times in two seconds of noise, with whether somebody speaks in each 32 ms.

Sources:   those of spoken_numbers.
Features:  {"samples": int16 (32768,) at 16 kHz, "speech": float32 (64,), 0 or 1 for each 512 samples}.
Splits:    1,500 / 150 / 192 recordings of the words of its splits, so that the test has people; of fewer words fewer.
Licence:   that of spoken_numbers; the noise is generated.
"""

import dataclasses
import os

import numpy as np

from pipelines.dataset import Dataset
from pipelines.datasets import spoken_numbers
from pipelines.sound.folders import SILENCE

NAME = "speech_in_noise"
COUNTS = {"train": 1500, "validation": 150, "test": 192}
STEP, STEPS = 512, 64  # samples of a label, and labels of a recording
SPOKEN = 0.1  # loudness of a step, as a share of the loudest of its word, from which it is speech
DECIBELS = (0.0, 30.0)  # of the loudest step of a word above the noise
PAUSE = 8000  # most samples before the first word and between words


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    words = spoken_numbers.load(data_dir, cache_dir, split)
    names, counts, parts = words.info.class_names, {}, {}
    import tensorflow as tf  # here, because a prediction in LiteRT needs the constants of this file only

    for seed, part in enumerate(words.info.counts):
        examples = [e["samples"] for e in words[part].as_numpy_iterator() if names[e["label"]] != SILENCE]
        random = np.random.default_rng(seed)
        count = min(COUNTS[part], 4 * len(examples))
        mixed = [mix([examples[j] for j in random.integers(0, len(examples), 3)], random) for _ in range(count)]
        samples, speech = map(np.stack, zip(*mixed, strict=True))
        counts[part] = count
        parts[part] = tf.data.Dataset.from_tensor_slices({"samples": samples, "speech": speech})
    features = {"samples": f"int16 ({STEPS * STEP},) at 16 kHz", "speech": f"float32 ({STEPS},)"}
    info = dataclasses.replace(words.info, name=NAME, features=features, counts=counts, class_names=None)
    return Dataset(**parts, info=info)


def mix(words: list[np.ndarray], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return int16 (32768,) of as many words, int16 (N,) each, as there is time for, and float32 (64,)."""
    length = STEPS * STEP
    recording, speech = np.zeros(length), np.zeros(STEPS, np.float32)
    start = int(random.integers(0, length // 2))
    for word in words:
        steps = word[: len(word) // STEP * STEP].astype(np.float64).reshape(-1, STEP)
        loud = np.sqrt(np.mean(steps**2, axis=1))
        spoken = np.flatnonzero(loud > SPOKEN * loud.max())
        if not len(spoken) or start + len(word) > length:
            break
        word = word[spoken[0] * STEP : (spoken[-1] + 1) * STEP]
        recording[start : start + len(word)] = word / max(loud.max(), 1.0)
        speech[start // STEP : (start + len(word) - 1) // STEP + 1] = 1
        start += len(word) + int(random.integers(STEP, PAUSE))
    noise = np.cumsum(random.normal(size=length)) if random.random() < 0.5 else random.normal(size=length)
    noise -= np.convolve(noise, np.full(STEP, 1 / STEP), "same")  # without the offset of the sum
    noise /= max(noise.std(), 1e-12)
    recording += noise * 10 ** (-random.uniform(*DECIBELS) / 20)
    recording *= random.uniform(0.05, 0.9) / np.abs(recording).max()
    return np.round(recording * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16), speech
