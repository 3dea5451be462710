"""Synthesised tones of known pitch: frames of a fundamental with harmonics, and noise.

Sources:   generated, the same numbers each time; data_dir is not taken.
Features:  {"frame": float32 (1024,) in [-1, 1] at 16 kHz, "cents": float32, 1200 log2(frequency / 10 Hz)}.
Splits:    "official" is 6,000/500/1,000 frames; percentages divide the training frames.
Licence:   CC0-1.0.
"""

import os

import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset, Info
from zoobase.errors import USAGE, DataError

NAME = "tones"
COUNTS = {"train": 6000, "validation": 500, "test": 1000}
RATE, LENGTH = 16_000, 1024
LOWEST, HIGHEST = 60.0, 1500.0  # Hz
REFERENCE = 10.0  # Hz, of 0 cents


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        raise DataError("tones are generated: omit --data-dir", USAGE)
    parts = {name: synthesise(count, seed) for seed, (name, count) in enumerate(COUNTS.items())}
    if policy := splits.percentages(split):
        frames, cents = parts["train"]
        cuts = splits.bounds(policy, len(cents))
        parts = dict(zip(parts, zip(np.split(frames, cuts), np.split(cents, cuts), strict=True), strict=True))
    info = Info(
        name=NAME,
        source="generated",
        licence="CC0-1.0",
        homepage="",
        features={"frame": "float32 (1024,)", "cents": "float32"},
        counts={name: len(cents) for name, (_, cents) in parts.items()},
        split=split,
    )
    return Dataset.of_columns(
        {name: {"frame": frames, "cents": cents} for name, (frames, cents) in parts.items()}, info
    )


def synthesise(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames float32 (count, 1024) and their pitch in cents, float32 (count,)."""
    random = np.random.default_rng(seed)
    cents = random.uniform(*(1200 * np.log2(f / REFERENCE) for f in (LOWEST, HIGHEST)), count)
    frequency = REFERENCE * 2 ** (cents / 1200)
    time = np.arange(LENGTH) / RATE
    frames = np.zeros((count, LENGTH))
    for harmonic in range(1, 11):
        amplitude = random.uniform(0, 1, count) ** 2 / harmonic if harmonic > 1 else random.uniform(0.5, 1, count)
        amplitude *= harmonic * frequency < RATE / 2
        phase = random.uniform(0, 2 * np.pi, count)
        frames += amplitude[:, None] * np.sin(2 * np.pi * harmonic * frequency[:, None] * time + phase[:, None])
    frames /= np.abs(frames).max(axis=1, keepdims=True)
    frames = 0.9 * random.uniform(0.1, 1, (count, 1)) * frames
    noise = 10 ** (random.uniform(-40, -10, (count, 1)) / 20) * frames.std(axis=1, keepdims=True)
    frames += noise * random.standard_normal(frames.shape)
    return np.clip(frames, -1, 1).astype(np.float32), cents.astype(np.float32)
