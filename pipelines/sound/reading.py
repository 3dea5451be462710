"""Recordings as samples: WAV files, by the standard library."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from pipelines.sources import storage
from zoobase.errors import MISSING, DataError

LONGEST = 3600  # seconds
_TAPS = 64  # of the low-pass filter, on each side, per step of the lower rate


def read(path: str | Path, rate: int) -> np.ndarray:
    """Read a recording.

    Args:
        path: A WAV file of 8, 16, 24 or 32 bits.
        rate: Samples a second of the result; another rate of the file is converted.

    Returns:
        float32 (N,) in [-1, 1], the mean of the channels.

    Raises:
        DataError: It cannot be read, or is longer than an hour.
    """
    path = Path(path)
    try:
        storage.check_size(path)
        samples, own_rate = _read_wave(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", MISSING) from error
    except (wave.Error, EOFError, ValueError) as error:
        raise DataError(f"{path} is not a WAV file of whole numbers ({error}): convert it") from error
    if len(samples) > LONGEST * own_rate:
        raise DataError(f"{path} is longer than {LONGEST // 60} minutes; cut it")
    return resample(samples.mean(axis=1, dtype=np.float32), own_rate, rate)


def _read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Return samples float32 (N, channels), and the rate."""
    with wave.open(str(path), "rb") as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        raw = np.frombuffer(file.readframes(min(file.getnframes(), (LONGEST + 1) * rate)), np.uint8)
    raw = raw[: len(raw) // (width * channels) * width * channels].reshape(-1, width)
    if width == 1:  # unsigned
        values = (raw[:, 0].astype(np.float32) - 128) / 128
    else:
        padded = np.zeros((len(raw), 4), np.uint8)
        padded[:, 4 - width :] = raw
        values = padded.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    return values.reshape(-1, channels), rate


def resample(samples: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    """Return samples at another rate, float32: band-limited by a windowed sinc.

    Example:
        >>> resample(np.zeros(8000, np.float32), 8000, 16000).shape
        (16000,)
    """
    if own_rate == rate or not len(samples):
        return samples.astype(np.float32)
    cutoff = min(1.0, rate / own_rate)  # of the lower half rate
    reach = int(np.ceil(_TAPS / cutoff))
    padded = np.pad(samples.astype(np.float64), reach)
    count = round(len(samples) * rate / own_rate)
    result = np.empty(count, np.float32)
    offsets = np.arange(-reach + 1, reach + 1)
    for start in range(0, count, 16_384):
        times = np.arange(start, min(count, start + 16_384)) * (own_rate / rate)
        whole = np.floor(times).astype(int)
        distances = offsets[None] - (times - whole)[:, None]
        window = np.cos(np.pi * np.clip(distances / (2 * reach), -0.5, 0.5)) ** 2
        kernel = cutoff * np.sinc(cutoff * distances) * window
        result[start : start + len(times)] = np.sum(padded[whole[:, None] + offsets + reach] * kernel, axis=1)
    return result
