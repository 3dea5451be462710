"""Recordings as samples: WAV files of whole numbers by the standard library, other formats by libsndfile."""

import math
import wave
from pathlib import Path

import numpy as np

from pipelines.sources import storage
from zoobase.errors import MISSING, DataError
from zoobase.requirements import install_command

LONGEST = 3600  # seconds
CANCELLED = 0.01  # share of the largest amplitude that remains of channels of opposite phase
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
_TAPS = 32  # of the low-pass filter, on each side, per step of the lower rate


def read(path: str | Path, rate: int) -> np.ndarray:
    """Read a recording.

    Args:
        path: A WAV file of 8, 16, 24 or 32 bits; with the package `soundfile` also one of floating-point numbers, FLAC,
            Ogg Vorbis, Opus, MP3, AIFF and AU.
        rate: Samples a second of the result; another rate of the file is converted.

    Returns:
        float32 (N,) in [-1, 1], the mean of the channels; one of them where they cancel each other.

    Raises:
        DataError: It cannot be read, is empty, or is longer than an hour.
    """
    path = Path(path)
    try:
        storage.check_size(path)
        samples, own_rate = _read_any(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", MISSING) from error
    if len(samples) > LONGEST * own_rate:
        raise DataError(f"{path} is longer than {LONGEST // 60} minutes; cut it")
    if not len(samples):
        raise DataError(f"{path} is empty: it has no samples")
    mono = samples.mean(axis=1, dtype=np.float32)
    if np.abs(mono).max() < CANCELLED * np.abs(samples).max():  # such as the two wires of a balanced line
        mono = samples[:, np.abs(samples).max(axis=0).argmax()]
    return resample(mono, own_rate, rate)


def check(path: Path) -> None:
    """Raise DataError if a file has no sound; only its header is read."""
    try:
        storage.check_size(path)
        with wave.open(str(path), "rb") as file:
            count = file.getnframes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", MISSING) from error
    except (wave.Error, EOFError):
        count = len(_read_any(path)[0])
    if not count:
        raise DataError(f"{path} is empty")


def _read_any(path: Path) -> tuple[np.ndarray, int]:
    """Return samples float32 (N, channels), and the rate."""
    try:
        return _read_wave(path)
    except (wave.Error, EOFError, ValueError) as reason:
        try:
            import soundfile
        except ImportError:
            hint = install_command("sound")
            raise DataError(f"{path} is not a WAV file of whole numbers ({reason}); for others: {hint}") from reason
        try:
            with soundfile.SoundFile(path) as file:
                rate = file.samplerate
                samples = file.read((LONGEST + 1) * rate, dtype="float32", always_2d=True)
                return np.clip(np.nan_to_num(samples), -1, 1), rate
        except soundfile.LibsndfileError as error:
            raise DataError(f"{path} is not a sound that libsndfile reads: {error.error_string}") from error


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
    """Return samples at another rate, float32, without what the new rate cannot hold."""
    if own_rate == rate or not len(samples):
        return samples.astype(np.float32)
    from scipy import signal  # here, because it takes longer to import than a prediction in LiteRT

    common = math.gcd(own_rate, rate)
    up, down = rate // common, own_rate // common
    half = _TAPS * max(up, down)
    low_pass = signal.firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 8.0))
    resampled = signal.resample_poly(samples.astype(np.float64), up, down, window=low_pass)
    return resampled[: round(len(samples) * rate / own_rate)].astype(np.float32)
