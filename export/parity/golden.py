"""Golden inputs and edge cases, generated from the meaning of each tensor.

Compared cases stay inside the legal range of every tensor. Inputs outside it (an empty batch, NaN, infinity) are run
too, but only reported, because runtimes do not define their outputs. Where the reference raises for an input that a
model may reject (a file that is not an image), every runtime must raise too.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Endpoint, Tensor
from export.contract.sampling import (
    EXTREMES,
    extreme_values,
    files_of,
    fill,
    raw_values,
    sample_values,
    shape_of,
    texts_of,
)
from export.parity import recurrent_steps
from export.parity.cases import LARGEST_CASE, REAL, TYPICAL, GoldenCase, scores_of
from export.protocol.arrays import pack
from zoobase import suggestion
from zoobase.errors import ExportError

BATCHES = (7, 1, 2, 16, 33, 64)
REAL_ROWS, TYPICAL_ROWS = 8, 64


def cases_for(
    endpoint: Endpoint, samples: Mapping[str, np.ndarray] | None = None, typical: Mapping[str, np.ndarray] | None = None
) -> list[GoldenCase]:
    """Return the cases of an endpoint: real samples (N, ...), batches, extremes, strings, and undefined inputs."""
    # `typical` holds real examples of every input: the only ones on which quantised artifacts are evaluated.
    rng = _rng(endpoint)
    size = endpoint.batch or 1
    cases = []
    real = {t.name: _fit(t, samples[t.name]) for t in endpoint.inputs if samples and t.name in samples}
    if real:
        rows = min([REAL_ROWS, *(len(v) for v in real.values())]) // size * size
        generated = {t.name: sample_values(t, rows, rng) for t in endpoint.inputs}
        cases += [GoldenCase("real", generated | {k: v[:rows] for k, v in real.items()})] if rows else []
    holds_files = any(files_of(t) for t in endpoint.inputs)  # each is decoded alone: the pixels have larger batches
    for rows in BATCHES:
        inputs = {t.name: sample_values(t, rows * size, rng, sizes=int(rows == 1)) for t in endpoint.inputs}
        if rows < 16 or (not holds_files and sum(v.nbytes for v in inputs.values()) <= LARGEST_CASE):
            cases.append(GoldenCase(f"batch_{rows}", inputs))
    raw = {t.name: raw_values(t, REAL_ROWS * size, rng) for t in endpoint.inputs if t.name not in real}
    if any(value is not None for value in raw.values()):
        typical_values = {t.name: sample_values(t, REAL_ROWS * size, rng) for t in endpoint.inputs}
        cases.append(GoldenCase("raw", typical_values | {k: v for k, v in raw.items() if v is not None}))
    if any(t.meaning == "image" and t.shape[1:3] == (None, None) for t in endpoint.inputs):
        sides = {t.name: sample_values(t, size, rng, sizes=2) for t in endpoint.inputs}
        cases.append(GoldenCase("odd_sides", sides, may_raise=True))  # a U-Net takes multiples of its strides only
    names = tuple(name for name in EXTREMES for _ in range(size))
    cases.append(GoldenCase("extremes", {t.name: extreme_values(t, size) for t in endpoint.inputs}, rows=names))
    if typical and all(t.name in typical for t in endpoint.inputs):
        fitted = {t.name: _fit(t, typical[t.name]) for t in endpoint.inputs}
        rows = min(TYPICAL_ROWS, *(len(v) for v in fitted.values())) // size * size
        cases += [GoldenCase(TYPICAL, {k: v[:rows] for k, v in fitted.items()})] if rows else []
    cases += _strings(endpoint, size, rng)
    cases += [
        GoldenCase(recurrent_steps.NAME, inputs, chain=chain) for inputs, chain in recurrent_steps.inputs_for(endpoint)
    ]
    return [dataclasses.replace(c, scores=scores_of(endpoint)) for c in (*cases, *_undefined(endpoint, size, rng))]


def differences_from_drawn(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> Iterator[tuple[str, bool]]:
    """Yield (clause, whether it is missing) for each case that the contract gives and that is not among `cases`."""
    # Real examples cannot be drawn again: theirs are taken as they are, and which inputs they fill is found by drawing.
    given = {case.name: case for case in cases}
    real, typical = ({} if name not in given else given[name].inputs for name in REAL)
    rows, rng = len(next(iter(real.values()), ())), _rng(endpoint)
    drawn = {t.name: sample_values(t, rows, rng) for t in endpoint.inputs} if real else {}
    samples = {name: value for name, value in real.items() if _content(value) != _content(drawn[name])}
    for case in cases_for(endpoint, samples, typical):
        other = given.get(case.name)
        if other is None or any(
            getattr(case, key) != getattr(other, key) for key in ("compared", "may_raise", "chain")
        ):
            yield (
                f"golden case {case.name} of {endpoint.name}, which the contract gives, is missing or not compared",
                True,
            )
        elif case.rows != other.rows or any(_content(v) != _content(other.inputs[k]) for k, v in case.inputs.items()):
            yield f"golden case {case.name} of {endpoint.name} has other inputs than this release draws", False


def _content(array: np.ndarray) -> tuple[Any, ...]:
    packed = pack({"": array})
    return tuple((name, value.dtype, value.shape, value.tobytes()) for name, value in packed.items())


def _rng(endpoint: Endpoint) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(endpoint.name.encode()))


def _strings(endpoint: Endpoint, size: int, rng: np.random.Generator) -> Iterator[GoldenCase]:
    """Yield a case with every text that an input must accept, and a case for each file, which it may reject."""
    for tensor in endpoint.inputs:
        if texts := texts_of(tensor):
            yield _string_case(endpoint, tensor, texts, f"{tensor.name}_kinds", size, rng)
        for name, file in files_of(tensor).items():
            case = _string_case(endpoint, tensor, {name: file}, name.replace(" ", "_"), size, rng)
            case.may_raise = True
            yield case


def _string_case(
    endpoint: Endpoint, tensor: Tensor, kinds: Mapping[str, bytes], name: str, size: int, rng: np.random.Generator
) -> GoldenCase:
    rows = len(kinds) * size
    inputs = {t.name: sample_values(t, rows, rng) for t in endpoint.inputs}
    shape = shape_of(tensor, rows)
    each = int(np.prod(shape[1:])) * size  # strings of one kind
    inputs[tensor.name] = fill([value for value in kinds.values() for _ in range(each)], shape)
    return GoldenCase(name, inputs, rows=tuple(kind for kind in kinds for _ in range(size)))


def _undefined(endpoint: Endpoint, size: int, rng: np.random.Generator) -> list[GoldenCase]:
    cases = []
    if endpoint.batch is None:
        cases.append(GoldenCase("empty", {t.name: sample_values(t, 0, rng) for t in endpoint.inputs}, compared=False))
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        inputs = {t.name: sample_values(t, 2 * size, rng) for t in endpoint.inputs}
        real = [v for v in inputs.values() if v.dtype.kind == "f"]
        for array in real:
            array.reshape(len(array), -1)[:, 0] = value
        if real:
            cases.append(GoldenCase(name, inputs, compared=False))
    return cases


def check_samples(samples: Iterable[str], endpoints: Iterable[Endpoint]) -> None:
    """Raise ExportError for samples of an input that no endpoint has; the message names the closest ones."""
    names = {tensor.name for endpoint in endpoints for tensor in endpoint.inputs}
    for name in samples:
        if name not in names:
            raise ExportError(f"samples of unknown input {name!r}; {suggestion(name, names)}")


def _fit(tensor: Tensor, sample: Any) -> np.ndarray:
    try:
        sample = tensor.array(sample)
    except (ValueError, TypeError) as error:
        raise ExportError(f"samples of input {tensor.name} are not {tensor.dtype} ({error})") from error
    refused = np.isinf if tensor.missing == "NaN" else lambda values: ~np.isfinite(values)
    if sample.dtype.kind == "f" and np.any(refused(sample)):
        raise ExportError(f"samples of input {tensor.name} hold NaN or infinity; give real inputs")
    shape = tensor.shape[1:]
    if not tensor.fits(sample.shape):
        raise ExportError(f"samples of input {tensor.name} have shape {sample.shape}; give (N, {str(shape)[1:]}")
    return sample
