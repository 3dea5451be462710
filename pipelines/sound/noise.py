"""Noise for folders of sounds that have none of their own."""

import wave
from pathlib import Path

import numpy as np

from pipelines.sound.folders import RATE, to_int16

SECONDS = 60


def write(folder: Path) -> None:
    """Write a minute of pink noise to a new folder, `pink.wav`."""
    folder.mkdir()
    with wave.open(str(folder / "pink.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(to_int16(_pink(SECONDS * RATE)).tobytes())


def _pink(count: int) -> np.ndarray:
    """Return noise with equal power in each octave, float32, louder in some seconds than in others."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(count)) / np.sqrt(np.arange(count // 2 + 1) + 1)
    noise = np.fft.irfft(spectrum, count)
    loudness = np.repeat(10 ** random.uniform(-3, -1, count // RATE), RATE)
    return (noise / noise.std() * loudness).astype(np.float32)
