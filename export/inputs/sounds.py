"""Which preprocessing the samples of a sound had: channels, resampling, window and scale."""

import io
import itertools
import math
from collections.abc import Iterator

import numpy as np

from export.contract.preprocessing import SoundPreprocessing
from zoobase.errors import ExportError

CHANNELS = ("mean", "first", "second", "interleaved")
RESAMPLERS = ("filtered", "fourier", "linear", "nearest", "none")
SCALES = {"-1 to 1": 1.0, "int16": 2.0**15, "divided by 32767": 2.0**15 / (2.0**15 - 1), "int32": 2.0**31}
TAPS = 32  # of the low-pass filter, on each side, per step of the lower rate
SIMILAR, EXPLAINED = 3e-4, 0.05  # residuals, as shares of the deviation of the tensor
Stages = dict[str, str | float]


def read(data: bytes) -> tuple[np.ndarray, int]:
    """Return samples float64 (N, channels) in [-1, 1], and the rate, of a WAV file; ExportError for another one."""
    from scipy.io import wavfile

    try:
        rate, samples = wavfile.read(io.BytesIO(data))
    except (ValueError, OSError, EOFError) as error:
        raise ExportError(f"the sound is not a WAV file of samples ({error}); convert it to WAV") from error
    samples = samples[:, None] if samples.ndim == 1 else samples
    if not samples.size:
        raise ExportError("the sound is empty: it has no samples")
    if samples.dtype.kind == "u":
        return (samples - 128.0) / 128, rate
    return samples / (1.0 if samples.dtype.kind == "f" else float(-np.iinfo(samples.dtype).min)), rate


def resample(samples: np.ndarray, own: int, rate: int, how: str) -> np.ndarray:
    """Return samples (N,) at another rate: by a low-pass filter, a Fourier transform, interpolation, or not at all."""
    if own == rate or how == "none":
        return samples
    count = round(len(samples) * rate / own)
    if how in ("linear", "nearest"):
        position = np.arange(count) * own / rate
        if how == "nearest":
            return samples[np.minimum(position.astype(np.int64), len(samples) - 1)]
        return np.interp(position, np.arange(len(samples)), samples)
    from scipy import signal

    if how == "fourier":
        return signal.resample(samples, count)
    common = math.gcd(own, rate)
    up, down = rate // common, own // common
    low_pass = signal.firwin(2 * TAPS * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 8.0))
    return signal.resample_poly(samples, up, down, window=low_pass)[:count]


def mixed(samples: np.ndarray, channels: str) -> np.ndarray | None:
    """Return one channel of samples (N, channels), or None where there are too few."""
    if samples.shape[1] == 1:
        return samples[:, 0] if channels == "mean" else None
    return {
        "mean": lambda: samples.mean(1),
        "first": lambda: samples[:, 0],
        "second": lambda: samples[:, 1],
        "interleaved": lambda: samples.reshape(-1),
    }[channels]()


def window(samples: np.ndarray, length: int, which: str) -> int:
    """Return where a window of a recording begins; below zero where silence is put before it."""
    spare = len(samples) - length
    if which == "loudest" and spare > 0:
        sums = np.concatenate([[0], np.cumsum(samples.astype(np.float64) ** 2)])
        start = int(np.argmax(sums[length:] - sums[:-length]))
        power = samples[start : start + length].astype(np.float64) ** 2
        centre = float(power @ np.arange(length)) / power.sum() if power.any() else (length - 1) / 2
        return min(max(0, start + round(centre - (length - 1) / 2)), spare)
    if which == "loudest":
        return -(-spare // 2)
    return {"first": 0, "middle": spare // 2, "last": spare}[which] if spare > 0 else 0


def tensor_of(data: bytes, recipe: SoundPreprocessing, rate: int, length: int) -> np.ndarray:
    """Return the samples float32 (length,) that a recipe makes of a WAV file."""
    samples, own = read(data)
    one = mixed(samples, recipe.channels) if samples.shape[1] > 1 else samples[:, 0]
    converted = resample(one, own, rate, recipe.resample).astype(np.float32)
    return (_at(converted, window(converted, length, recipe.window), length) * recipe.scale).astype(np.float32)


def _at(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    """Return a window of samples, with zeros where there are none."""
    before, after = max(0, -start), max(0, start + length - len(samples))
    return np.pad(samples[max(0, start) : start + length], (before, after))[:length]


def explain(
    data: bytes, array: np.ndarray, rate: int, length: int, expected: SoundPreprocessing | None
) -> tuple[Stages, dict[str, tuple[str, ...]], float] | None:
    """Return the stages by which a WAV file became a tensor, other values that fit as well, and the residual.

    The residual is a share of the deviation of the tensor. None if the tensor has another length, or is constant.
    """
    fed = np.asarray(array, np.float64).reshape(-1)
    if len(fed) != length or not np.isfinite(fed).all() or np.ptp(fed) == 0:
        return None
    found = list(_hypotheses(*read(data), fed, rate))
    least = min(residual for residual, _ in found)
    near = [(residual, stages) for residual, stages in found if residual <= least * 1.05 + SIMILAR]
    wanted = stages_of(expected) if expected else {}
    residual, best = min(near, key=lambda item: (sum(item[1].get(k) != v for k, v in wanted.items()), item[0]))
    similar: dict[str, dict[str, None]] = {}
    for _, stages in near:
        for name in (name for name, value in stages.items() if value != best[name]):
            similar.setdefault(name, {})[str(stages[name])] = None
    return best, {name: tuple(values) for name, values in similar.items()}, residual


def stages_of(recipe: SoundPreprocessing) -> Stages:
    """Return a recipe in the terms of the search."""
    names = {value: name for name, value in SCALES.items()}
    scale = names.get(recipe.scale, f"multiplied by {recipe.scale:.4g}")
    return {"channels": recipe.channels, "resample": recipe.resample, "window": recipe.window, "scale": scale}


def _hypotheses(samples: np.ndarray, own: int, fed: np.ndarray, rate: int) -> Iterator[tuple[float, Stages]]:
    """Yield (residual, stages) of each channel and resampling, where the tensor is placed best in the recording."""
    from scipy import signal

    deviation, energy = fed.std(), np.sqrt((fed * fed).sum())
    for channels, how in itertools.product(CHANNELS, RESAMPLERS if own != rate else RESAMPLERS[:1]):
        one = mixed(samples, channels)
        if one is None:
            continue
        converted = resample(one, own, rate, how)
        padded = np.pad(converted, len(fed))
        overlap = signal.fftconvolve(padded, fed[::-1], "valid")
        power = np.sqrt(np.maximum(signal.fftconvolve(padded**2, np.ones(len(fed)), "valid"), 1e-12))
        start = int(np.argmax(np.abs(overlap) / np.maximum(power, 1e-6 * energy))) - len(fed)
        part = _at(converted, start, len(fed))
        centred = part - part.mean()
        scale = float((centred @ fed) / max(float(centred @ centred), 1e-12))
        rest = fed - fed.mean() - scale * centred
        places = {"loudest", "first", "middle", "last"}
        named = [w for w in sorted(places) if abs(window(converted.astype(np.float32), len(fed), w) - start) <= 1]
        for where in named or [f"at {start / rate:.3f} s"]:
            stages = {"channels": channels, "resample": how if own != rate else "filtered", "window": where}
            yield float(rest.std() / deviation), stages | {"scale": _scale(scale, part, fed)}


def _scale(scale: float, part: np.ndarray, fed: np.ndarray) -> str:
    peak = float(np.abs(fed).max())
    named = next((name for name, value in SCALES.items() if abs(scale / value - 1) < 1e-5), None)
    if named is None and abs(peak - 1) < 1e-3 and abs(scale * np.abs(part).max() - 1) < 1e-2:
        return "divided by the largest sample"
    if named is None and abs(fed.std() - 1) < 1e-3:
        return "mean 0, deviation 1 of each sound"
    return named or ("opposite sign" if abs(scale + 1) < 1e-4 else f"multiplied by {scale:.4g}")
