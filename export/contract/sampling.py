"""Generate values for a tensor from its meaning: typical values, the ends of its range, and edge-case strings."""

from __future__ import annotations

import dataclasses
import io
import itertools
from typing import Any

import numpy as np

from export.contract import Tensor
from export.contract.images import image_values

EXTREMES = ("zeros", "ones", "low", "high", "denormal")
WORDS = 16  # of a text that is made of a vocabulary
TEXTS_OF_WORDS = 4
UNKNOWN = {  # sizes used for dimensions that are known only at run time: common, alternative and odd sizes
    "image": ((32, 32), (64, 64), (65, 97)),
    "token": ((16,), (5,), (5,)),
}
TEXTS = {
    "plain": "a line of text",
    "empty": "",
    "very long": "many words " * 1000,
    "unknown words": "qzxv wörds Ünïcödé",
    "emoji": "🙂 👩‍👩‍👧 👍🏽",
    "right to left": "שלום עולם مرحبا",
    "NUL": "with a NUL \0 inside",
}


def sample_values(tensor: Tensor, rows: int, rng: np.random.Generator, sizes: int = 0) -> np.ndarray:
    """Return typical values of a tensor; `sizes` chooses the entry of `UNKNOWN` for open dimensions."""
    shape = shape_of(tensor, rows, sizes)
    if tensor.dtype == "string":
        return _strings(tensor, shape)
    if tensor.vocabulary is not None:
        return rng.choice(np.asarray(tensor.vocabulary), shape).astype(tensor.dtype)
    low, high = legal_range(tensor)
    bounded = tensor.low is not None and tensor.high is not None
    if tensor.ranges:
        limits = np.resize(np.asarray(tensor.ranges), (rows, 2)).reshape(rows, 2, *[1] * (len(shape) - 1))
        low, high = limits[:, 0], limits[:, 1]
    if tensor.meaning == "image" and len(shape) == 4 and tensor.dtype != "bool":
        values = low + (high - low) * image_values(shape, rng)
        return (np.rint(values) if np.dtype(tensor.dtype).kind in "iu" else values).astype(tensor.dtype)
    if tensor.meaning == "token" or np.dtype(tensor.dtype).kind in "iub":
        first, last = np.asarray(low).astype(np.int64), np.asarray(high).astype(np.int64)
        values = rng.integers(first, last + 1, shape)
        # ids in which 0 is legal, which usually is padding
        is_padded = (
            tensor.meaning == "token" and len(tensor.shape) == 2 and tensor.low == 0 and np.ndim(tensor.high) == 0
        )
        return (_sequences(values, rng) if is_padded else values).astype(tensor.dtype)
    if tensor.ranges:
        return rng.uniform(low, high, shape).astype(tensor.dtype)
    if tensor.meaning in ("image", "state", "probabilities") or bounded:
        return rng.uniform(low, high, shape).astype(tensor.dtype)
    return np.clip(rng.standard_normal(shape), low, high).astype(tensor.dtype)


def raw_values(tensor: Tensor, rows: int, rng: np.random.Generator) -> np.ndarray | None:
    """Return values that a device's library makes of raw inputs, or None where all typical values are such."""
    # The pixels of an image file are integers, and a text has its padding at its end.
    if tensor.words is not None and len(tensor.shape) == 2:
        values = sample_values(dataclasses.replace(tensor, low=1), rows, rng)
        lengths = rng.integers(1, values.shape[1] + 1, rows)
        return np.where(np.arange(values.shape[1]) < lengths[:, None], values, 0).astype(tensor.dtype)
    is_photo = tensor.meaning == "image" and tensor.shape[-1] == 3 and np.dtype(tensor.dtype).kind == "f"
    if is_photo and (tensor.low, tensor.high) == (0, 255):
        return np.rint(sample_values(tensor, rows, rng))
    return None


def _sequences(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows of ids (B, T) as sequences: whole, padded at the end, padded at the start, of one token repeated."""
    rows, length = ids.shape
    lengths, kinds, position = rng.integers(1, max(length, 2), rows), np.arange(rows) % 4, np.arange(length)
    ids = np.where((kinds == 1)[:, None] & (position >= lengths[:, None]), 0, ids)
    ids = np.where((kinds == 2)[:, None] & (position < length - lengths[:, None]), 0, ids)
    return np.where((kinds == 3)[:, None], ids[:, :1], ids)


def extreme_values(tensor: Tensor, size: int) -> np.ndarray:
    """Return `size` rows for each of `EXTREMES`, all legal. For token ids, zeros are a row of padding only."""
    shape = shape_of(tensor, size)
    if tensor.dtype == "string":
        return _strings(tensor, shape_of(tensor, size * len(EXTREMES)))
    if tensor.vocabulary is not None:
        values = np.resize(np.asarray(tensor.vocabulary), len(EXTREMES))
        return np.concatenate([np.full(shape, value, tensor.dtype) for value in values])
    low, high = legal_range(tensor)
    values = {"zeros": 0, "ones": 1, "low": low, "high": high, "denormal": 1e-40}
    if np.dtype(tensor.dtype).kind != "f" or tensor.meaning == "token":
        values["denormal"] = low + (high - low) // 2
    return np.concatenate([np.full(shape, np.clip(values[name], low, high), tensor.dtype) for name in EXTREMES])


def level_values(tensor: Tensor, rows: int) -> np.ndarray:
    """Return rows whose typical values differ by as much as the range allows: row i is near level i of the range."""
    values = sample_values(tensor, rows, np.random.default_rng(0))
    if tensor.dtype == "string" or tensor.vocabulary is not None:
        return values
    low, high = legal_range(tensor)
    levels = low + (high - low) * np.linspace(0, 1, rows).reshape(-1, *[1] * (values.ndim - 1))
    levels = levels + 0.1 * (values.astype(np.float64) - (low + high) / 2)
    return np.clip(levels, low, high).astype(tensor.dtype)


def corner_values(tensor: Tensor, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows in which each number is at one end of its range or the other: the largest legal contrast."""
    values = sample_values(tensor, rows, rng)
    if not has_corners(tensor):
        return values
    low, high = legal_range(tensor)
    return np.where(rng.integers(0, 2, values.shape), high, low).astype(tensor.dtype)


def has_corners(tensor: Tensor) -> bool:
    """Return whether a tensor holds numbers with one known range."""
    is_number = tensor.dtype not in ("string", "bool") and tensor.meaning not in ("token", "category")
    is_listed = tensor.vocabulary is not None or bool(tensor.ranges)
    return is_number and not is_listed and tensor.low is not None and tensor.high is not None


def texts_of(tensor: Tensor) -> dict[str, bytes]:
    """Return the texts that a tensor must accept, by name; empty if it does not hold text."""
    if tensor.dtype != "string" or tensor.meaning in ("encoded_image", "category"):
        return {}
    return {name: text.encode() for name, text in TEXTS.items()}


def files_of(tensor: Tensor) -> dict[str, bytes]:
    """Return valid and damaged image files by name. A model may reject any; every runtime must behave as it does."""
    if tensor.meaning != "encoded_image":
        return {}
    valid = valid_files()
    return valid | {"truncated": valid["JPEG"][: len(valid["JPEG"]) // 2], "no image": b"no image", "empty file": b""}


def valid_files() -> dict[str, bytes]:
    """Return image files of the kinds that occur in practice."""
    from PIL import Image

    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (5, 6, 3)), np.ones((8, 8, 1))).astype("uint8")
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees to display
    return {
        "PNG": _file(image, "PNG"),
        "JPEG": _file(image, "JPEG"),
        "CMYK JPEG": _file(image.convert("CMYK"), "JPEG"),
        "EXIF-rotated JPEG": _file(image, "JPEG", exif=exif),
        "1x1 PNG": _file(image.crop((0, 0, 1, 1)), "PNG"),
        "grey PNG": _file(image.convert("L"), "PNG"),
        "PNG with alpha": _file(image.convert("RGBA"), "PNG"),
    }


def _file(image: Image.Image, kind: str, **options: object) -> bytes:  # noqa: F821
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def shape_of(tensor: Tensor, rows: int, sizes: int = 0) -> tuple[int, ...]:
    """Return a concrete shape, with one of the choices of `UNKNOWN`, or at least `tensor.min_size`."""
    choice = UNKNOWN["image" if tensor.meaning == "image" else "token"][sizes]
    if tensor.min_size is not None:
        choice = tuple(tensor.min_size + size for size in choice) if sizes else (tensor.min_size,)
    unknown = itertools.cycle(choice)
    return (rows, *(next(unknown) if d is None else d for d in tensor.shape[1:]))


def legal_range(tensor: Tensor) -> tuple[Any, Any]:
    """Return the legal range of a tensor, or a wide one for which networks give finite outputs."""
    low, high = {
        "image": (0, 255),
        "audio": (-1, 1),
        "noise": (-5, 5),
        "latent": (-5, 5),
        "state": (-1, 1),
        "probabilities": (0, 1),
    }.get(tensor.meaning, (0, 1) if tensor.dtype == "bool" else (-100, 100))
    ends = (low if tensor.low is None else tensor.low, high if tensor.high is None else tensor.high)
    return tuple(np.asarray(end) if isinstance(end, tuple) else end for end in ends)


def _strings(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    if tensor.meaning == "encoded_image":
        files = valid_files()
        values = [files["PNG"], files["JPEG"]]
    else:
        values = [value.encode() for value in (*texts_of_words(tensor), *TEXTS.values())]
        if tensor.meaning == "category":
            values = [value.encode() for value in tensor.vocabulary or TEXTS.values()]
    return fill(values, shape)


def texts_of_words(tensor: Tensor) -> list[str]:
    """Return texts of words of a tensor's vocabulary: plain, with capitals, repeated, unknown, with white space."""
    words = [word for word in tensor.vocabulary or () if word.strip()]
    if not words:
        return []
    rng = np.random.default_rng(len(words))
    texts = [" ".join(rng.choice(words, WORDS)) for _ in range(TEXTS_OF_WORDS)]
    one, *others = rng.choice(words, WORDS)
    varied = [texts[0].upper(), texts[1].title(), f"{one} " * WORDS, " ".join([*others[:2], "qzxv", *others[2:]])]
    return [*texts, *varied, f"   {texts[2]}", f"{texts[3]}\t \n"]


def fill(values: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array that repeats the strings, the last axis varying fastest."""
    array = np.empty(int(np.prod(shape)), object)
    array[:] = [values[i % len(values)] for i in range(array.size)]
    return array.reshape(shape)
