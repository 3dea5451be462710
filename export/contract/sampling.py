"""Draw values for a tensor from what it means: typical ones, the ends of its range, and kinds of strings."""

from __future__ import annotations

import io
import itertools

import numpy as np

from export.contract import Tensor

EXTREMES = ("zeros", "ones", "low", "high", "denormal")
UNKNOWN = {  # sizes given to dimensions that are known only at run time: the usual ones, others, and odd ones
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


def draw(tensor: Tensor, rows: int, rng: np.random.Generator, sizes: int = 0) -> np.ndarray:
    """Return typical values; `sizes` chooses those of the dimensions that are known only at run time, see `UNKNOWN`."""
    shape = shape_of(tensor, rows, sizes)
    if tensor.dtype == "string":
        return _strings(tensor, shape)
    low, high = legal_range(tensor)
    bounded = tensor.low is not None and tensor.high is not None
    if tensor.meaning == "token" or np.dtype(tensor.dtype).kind in "iub":
        return rng.integers(int(low), int(high) + 1, shape).astype(tensor.dtype)
    if tensor.meaning in ("image", "state", "probabilities") or bounded:
        return rng.uniform(low, high, shape).astype(tensor.dtype)
    return np.clip(rng.standard_normal(shape), low, high).astype(tensor.dtype)


def draw_extremes(tensor: Tensor, size: int) -> np.ndarray:
    """Return `size` rows for each of `EXTREMES`, all legal. For token ids, zeros are a row of nothing but padding."""
    shape = shape_of(tensor, size)
    if tensor.dtype == "string":
        return _strings(tensor, shape_of(tensor, size * len(EXTREMES)))
    low, high = legal_range(tensor)
    values = {"zeros": 0, "ones": 1, "low": low, "high": high, "denormal": 1e-40}
    if np.dtype(tensor.dtype).kind != "f" or tensor.meaning == "token":
        values["denormal"] = low + (high - low) // 2
    return np.concatenate([np.full(shape, np.clip(values[name], low, high), tensor.dtype) for name in EXTREMES])


def texts_of(tensor: Tensor) -> dict[str, bytes]:
    """Return the texts that a tensor must take, by name; none for what is no text."""
    if tensor.dtype != "string" or tensor.meaning == "encoded_image" or tensor.vocabulary is not None:
        return {}
    return {name: text.encode() for name, text in TEXTS.items()}


def files_of(tensor: Tensor) -> dict[str, bytes]:
    """Return image files, whole and damaged, by name. A model may refuse any; every runtime must do as it does."""
    if tensor.meaning != "encoded_image":
        return {}
    good = good_files()
    return good | {"truncated": good["JPEG"][: len(good["JPEG"]) // 2], "no image": b"no image", "empty file": b""}


def good_files() -> dict[str, bytes]:
    """Return image files of every kind that people send."""
    from PIL import Image

    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (5, 6, 3)), np.ones((8, 8, 1))).astype("uint8")
    picture = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: turn by 90 degrees to look at it
    return {
        "PNG": _file(picture, "PNG"),
        "JPEG": _file(picture, "JPEG"),
        "CMYK JPEG": _file(picture.convert("CMYK"), "JPEG"),
        "EXIF-rotated JPEG": _file(picture, "JPEG", exif=turned),
        "1x1 PNG": _file(picture.crop((0, 0, 1, 1)), "PNG"),
        "grey PNG": _file(picture.convert("L"), "PNG"),
        "PNG with alpha": _file(picture.convert("RGBA"), "PNG"),
    }


def _file(picture: Image.Image, kind: str, **options: object) -> bytes:  # noqa: F821
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def shape_of(tensor: Tensor, rows: int, sizes: int = 0) -> tuple[int, ...]:
    """Return a concrete shape, with one of the choices of `UNKNOWN`."""
    unknown = itertools.cycle(UNKNOWN["image" if tensor.meaning == "image" else "token"][sizes])
    return (rows, *(next(unknown) if d is None else d for d in tensor.shape[1:]))


def legal_range(tensor: Tensor) -> tuple[float, float]:
    """Return the legal range, or a wide one that networks still digest."""
    low, high = {
        "image": (0, 255),
        "noise": (-5, 5),
        "latent": (-5, 5),
        "state": (-1, 1),
        "probabilities": (0, 1),
    }.get(tensor.meaning, (0, 1) if tensor.dtype == "bool" else (-100, 100))
    return (low if tensor.low is None else tensor.low, high if tensor.high is None else tensor.high)


def _strings(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    if tensor.meaning == "encoded_image":
        files = good_files()
        words = [files["PNG"], files["JPEG"]]
    else:
        words = [word.encode() for word in tensor.vocabulary or TEXTS.values()]
    return fill(words, shape)


def fill(words: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of strings that goes round the words, the last axis first."""
    strings = np.empty(int(np.prod(shape)), object)
    strings[:] = [words[i % len(words)] for i in range(strings.size)]
    return strings.reshape(shape)
