"""Golden and hostile inputs, made from what each tensor means.

Judged cases stay inside the legal range of every tensor. What lies outside (no rows, NaN, infinity) is run too, but
only reported, because runtimes do not define it.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.errors import ExportError
from export.runners import protocol

BATCHES = (7, 1, 2, 32)
REAL_ROWS = 8
LARGEST_CASE = 2_000_000  # bytes; a batch of 32 is left out above it
EXTREMES = ("zeros", "ones", "low", "high", "denormal")
UNKNOWN = {"image": (32, 64), "token": (16, 5)}  # sizes given to dimensions that are known only at run time
TEXTS = ("a line of text", "", "Ünïcödé 🙂 שלום", "unknown wörds " * 40, "with a NUL \0 inside")


@dataclass
class Case:
    """Inputs of one call, and what the reference model makes of them.

    Attributes:
        name: Unique in its endpoint.
        inputs: Arrays by input name, strings as object arrays of bytes.
        judged: False where the outcome is only reported.
        rows: What each row is, for messages; empty if the rows need no names.
        outputs: Arrays by output name, filled in by the reference.
    """

    name: str
    inputs: dict[str, np.ndarray]
    judged: bool = True
    rows: tuple[str, ...] = ()
    outputs: dict[str, np.ndarray] = field(default_factory=dict)


def cases_for(endpoint: Endpoint, samples: Mapping[str, np.ndarray] | None = None) -> list[Case]:
    """Return the cases of an endpoint: real samples, batches, extremes, and the undefined ones.

    Args:
        endpoint: What is called.
        samples: Real examples (N, ...) by input name; inputs without samples are drawn.

    Raises:
        ExportError: If samples do not fit the tensor of their name.
    """
    rng = np.random.default_rng(zlib.crc32(endpoint.name.encode()))
    size = endpoint.batch or 1
    cases = []
    real = {t.name: _fit(t, samples[t.name]) for t in endpoint.inputs if samples and t.name in samples}
    if real:
        rows = min([REAL_ROWS, *(len(v) for v in real.values())]) // size * size
        drawn = {t.name: _draw(t, rows, rng) for t in endpoint.inputs}
        cases += [Case("real", drawn | {k: v[:rows] for k, v in real.items()})] if rows else []
    for rows in BATCHES:
        inputs = {t.name: _draw(t, rows * size, rng, alternative=rows == 1) for t in endpoint.inputs}
        if rows < max(BATCHES) or sum(v.nbytes for v in inputs.values()) <= LARGEST_CASE:
            cases.append(Case(f"batch_{rows}", inputs))
    names = tuple(name for name in EXTREMES for _ in range(size))
    cases.append(Case("extremes", {t.name: _extremes(t, size, rng) for t in endpoint.inputs}, rows=names))
    return cases + _undefined(endpoint, size, rng)


def _undefined(endpoint: Endpoint, size: int, rng: np.random.Generator) -> list[Case]:
    cases = []
    if endpoint.batch is None:
        cases.append(Case("empty", {t.name: _draw(t, 0, rng) for t in endpoint.inputs}, judged=False))
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        inputs = {t.name: _draw(t, 2 * size, rng) for t in endpoint.inputs}
        real = [v for v in inputs.values() if v.dtype.kind == "f"]
        for array in real:
            array.reshape(len(array), -1)[:, 0] = value
        if real:
            cases.append(Case(name, inputs, judged=False))
    return cases


def _fit(tensor: Tensor, sample: Any) -> np.ndarray:
    sample = np.asarray(sample, object if tensor.dtype == "string" else tensor.dtype)
    wanted = tensor.shape[1:]
    fits = sample.ndim == len(tensor.shape) and all(
        w in (None, s) for w, s in zip(wanted, sample.shape[1:], strict=True)
    )
    if not fits:
        raise ExportError(f"samples of input {tensor.name} have shape {sample.shape}; give (N, {str(wanted)[1:]}")
    return sample


def _shape(tensor: Tensor, rows: int, alternative: bool = False) -> tuple[int, ...]:
    """Return a concrete shape; the alternative differs in the dimensions that are known only at run time."""
    unknown = UNKNOWN["image" if tensor.meaning == "image" else "token"][alternative]
    return (rows, *(unknown if d is None else d for d in tensor.shape[1:]))


def _range(tensor: Tensor) -> tuple[float, float]:
    """Return the legal range, or a wide one that networks still digest."""
    low, high = {
        "image": (0, 255),
        "noise": (-5, 5),
        "latent": (-5, 5),
        "state": (-1, 1),
        "probabilities": (0, 1),
    }.get(tensor.meaning, (0, 1) if tensor.dtype == "bool" else (-100, 100))
    return (low if tensor.low is None else tensor.low, high if tensor.high is None else tensor.high)


def _draw(tensor: Tensor, rows: int, rng: np.random.Generator, alternative: bool = False) -> np.ndarray:
    """Return typical values."""
    shape = _shape(tensor, rows, alternative)
    if tensor.dtype == "string":
        return _strings(tensor, shape, rng)
    low, high = _range(tensor)
    bounded = tensor.low is not None and tensor.high is not None
    if tensor.meaning == "token" or np.dtype(tensor.dtype).kind in "iub":
        return rng.integers(int(low), int(high) + 1, shape).astype(tensor.dtype)
    if tensor.meaning in ("image", "state", "probabilities") or bounded:
        return rng.uniform(low, high, shape).astype(tensor.dtype)
    return np.clip(rng.standard_normal(shape), low, high).astype(tensor.dtype)


def _extremes(tensor: Tensor, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return `size` rows for each of `EXTREMES`, all legal."""
    shape = _shape(tensor, size)
    if tensor.dtype == "string":
        return _strings(tensor, _shape(tensor, size * len(EXTREMES)), rng)
    low, high = _range(tensor)
    values = {"zeros": 0, "ones": 1, "low": low, "high": high, "denormal": 1e-40}
    if np.dtype(tensor.dtype).kind != "f" or tensor.meaning == "token":
        values["denormal"] = low + (high - low) // 2
    return np.concatenate([np.full(shape, np.clip(values[name], low, high), tensor.dtype) for name in EXTREMES])


def _strings(tensor: Tensor, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    count = int(np.prod(shape))
    if tensor.meaning == "encoded_image":
        words = [_picture(rng, kind) for kind in ("PNG", "JPEG")]
    else:
        words = [word.encode() for word in tensor.vocabulary or TEXTS]
    strings = np.empty(count, object)
    strings[:] = [words[i % len(words)] for i in range(count)]
    return strings.reshape(shape)


def _picture(rng: np.random.Generator, kind: str) -> bytes:
    from PIL import Image

    pixels = np.kron(rng.integers(0, 256, (5, 6, 3)), np.ones((8, 8, 1))).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def write_golden(folder: Path, cases: Mapping[str, Iterable[Case]]) -> None:
    """Write inputs and outputs of every endpoint apart, so that a runner never sees what is expected of it."""
    folder.mkdir()
    index = {}
    for endpoint, found in cases.items():
        index[endpoint] = [{"name": c.name, "judged": c.judged, "rows": list(c.rows)} for c in found]
        for kind in ("inputs", "outputs"):
            arrays = {f"{c.name}/{name}": value for c in found for name, value in getattr(c, kind).items()}
            protocol.save_arrays(folder / f"{endpoint}.{kind}.npz", arrays)
    (folder / "cases.json").write_text(json.dumps(index, indent=1) + "\n")


def read_golden(folder: Path, contract: Contract) -> dict[str, list[Case]]:
    """Read what `write_golden` wrote."""
    found = {}
    for endpoint in contract.endpoints:
        outputs = protocol.read_arrays(folder / f"{endpoint.name}.outputs.npz")
        found[endpoint.name] = [
            Case(c["name"], c["inputs"], c["judged"], tuple(c["rows"]), _under(outputs, c["name"]))
            for c in protocol.read_cases(folder, endpoint.name)
        ]
    return found


def _under(arrays: Mapping[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    return {key[len(case) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{case}/")}
