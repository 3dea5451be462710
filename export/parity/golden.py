"""Golden inputs and edge cases, generated from the meaning of each tensor.

Compared cases stay inside the legal range of every tensor. Inputs outside it (an empty batch, NaN, infinity) are run
too, but only reported, because runtimes do not define their outputs. Where the reference raises for an input that a
model may reject (a file that is not an image), every runtime must raise too.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.contract.sampling import EXTREMES, extreme_values, files_of, fill, sample_values, shape_of, texts_of
from export.parity import recurrent_steps
from export.runners.lib import protocol
from export.runners.lib.calls import one_line
from zoobase import suggestion
from zoobase.errors import ExportError

BATCHES = (7, 1, 2, 32)
REAL_ROWS, TYPICAL_ROWS = 8, 64
TYPICAL = "typical"
LARGEST_CASE = 2_000_000  # bytes; a batch of 32 that is larger is left out


@dataclass
class Case:
    """Inputs of one call, and the outputs of the reference model for them.

    Attributes:
        name: Unique in its endpoint.
        inputs: Arrays by input name, strings as object arrays of bytes.
        compared: False where the outcome is only reported ("judged" in cases.json).
        rows: Name of each row, for messages; empty if the rows need no names.
        may_raise: Whether the reference may raise; a runtime must then raise too.
        chain: {state input: output that is its next value} where the rows are steps of one sequence, else empty.
        outputs: Arrays by output name, filled in by the reference; empty if it raised.
        unstable_rows: Named rows at which the reference is discontinuous, not compared ("unsteady" in cases.json).
        row_noise: Noise of each named row of an output, measured in every proof.
        scores: {output of class ids: the output whose largest values they name}.
    """

    name: str
    inputs: dict[str, np.ndarray]
    compared: bool = True
    rows: tuple[str, ...] = ()
    may_raise: bool = False
    chain: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    unstable_rows: tuple[int, ...] = ()
    row_noise: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, str] = field(default_factory=dict)


def cases_for(
    endpoint: Endpoint,
    samples: Mapping[str, np.ndarray] | None = None,
    typical: Mapping[str, np.ndarray] | None = None,
) -> list[Case]:
    """Return the cases of an endpoint: real samples, batches, extremes, strings, and undefined inputs.

    Args:
        endpoint: The endpoint.
        samples: Real examples (N, ...) by input name; inputs without samples are generated.
        typical: Real examples of every input: the only inputs on which quantised artifacts are evaluated.

    Raises:
        ExportError: If samples do not have the shape of the tensor of their name.
    """
    rng = np.random.default_rng(zlib.crc32(endpoint.name.encode()))
    size = endpoint.batch or 1
    cases = []
    real = {t.name: _fit(t, samples[t.name]) for t in endpoint.inputs if samples and t.name in samples}
    if real:
        rows = min([REAL_ROWS, *(len(v) for v in real.values())]) // size * size
        generated = {t.name: sample_values(t, rows, rng) for t in endpoint.inputs}
        cases += [Case("real", generated | {k: v[:rows] for k, v in real.items()})] if rows else []
    for rows in BATCHES:
        inputs = {t.name: sample_values(t, rows * size, rng, sizes=int(rows == 1)) for t in endpoint.inputs}
        if rows < max(BATCHES) or sum(v.nbytes for v in inputs.values()) <= LARGEST_CASE:
            cases.append(Case(f"batch_{rows}", inputs))
    if any(t.meaning == "image" and t.shape[1:3] == (None, None) for t in endpoint.inputs):
        sides = {t.name: sample_values(t, size, rng, sizes=2) for t in endpoint.inputs}
        cases.append(Case("odd_sides", sides, may_raise=True))  # a U-Net takes multiples of its strides only
    names = tuple(name for name in EXTREMES for _ in range(size))
    cases.append(Case("extremes", {t.name: extreme_values(t, size) for t in endpoint.inputs}, rows=names))
    if typical and all(t.name in typical for t in endpoint.inputs):
        fitted = {t.name: _fit(t, typical[t.name]) for t in endpoint.inputs}
        rows = min(TYPICAL_ROWS, *(len(v) for v in fitted.values())) // size * size
        cases += [Case(TYPICAL, {k: v[:rows] for k, v in fitted.items()})] if rows else []
    cases += _strings(endpoint, size, rng)
    cases += [Case(recurrent_steps.NAME, inputs, chain=chain) for inputs, chain in recurrent_steps.inputs_for(endpoint)]
    return [dataclasses.replace(c, scores=_scores(endpoint)) for c in (*cases, *_undefined(endpoint, size, rng))]


def _scores(endpoint: Endpoint) -> dict[str, str]:
    """Return {output of class ids: the first logits or probabilities of the same shape with one axis more}."""
    every = [t for t in endpoint.outputs if t.meaning in ("logits", "probabilities")]
    return {
        ids.name: scores[0].name
        for ids in endpoint.outputs
        if ids.meaning == "class_ids" and (scores := [t for t in every if t.shape[:-1] == ids.shape])
    }


def _strings(endpoint: Endpoint, size: int, rng: np.random.Generator) -> Iterator[Case]:
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
) -> Case:
    rows = len(kinds) * size
    inputs = {t.name: sample_values(t, rows, rng) for t in endpoint.inputs}
    shape = shape_of(tensor, rows)
    each = int(np.prod(shape[1:])) * size  # strings of one kind
    inputs[tensor.name] = fill([value for value in kinds.values() for _ in range(each)], shape)
    return Case(name, inputs, rows=tuple(kind for kind in kinds for _ in range(size)))


def _undefined(endpoint: Endpoint, size: int, rng: np.random.Generator) -> list[Case]:
    cases = []
    if endpoint.batch is None:
        cases.append(Case("empty", {t.name: sample_values(t, 0, rng) for t in endpoint.inputs}, compared=False))
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        inputs = {t.name: sample_values(t, 2 * size, rng) for t in endpoint.inputs}
        real = [v for v in inputs.values() if v.dtype.kind == "f"]
        for array in real:
            array.reshape(len(array), -1)[:, 0] = value
        if real:
            cases.append(Case(name, inputs, compared=False))
    return cases


def check_samples(samples: Iterable[str], endpoints: Iterable[Endpoint]) -> None:
    """Raise ExportError for samples of an input that no endpoint has; the message names the closest ones."""
    names = {tensor.name for endpoint in endpoints for tensor in endpoint.inputs}
    for name in samples:
        if name not in names:
            raise ExportError(f"samples of unknown input {name!r}; {suggestion(name, names)}")


def _fit(tensor: Tensor, sample: Any) -> np.ndarray:
    try:
        sample = np.asarray(sample, object if tensor.dtype == "string" else tensor.dtype)
    except (ValueError, TypeError) as error:
        raise ExportError(f"samples of input {tensor.name} are not {tensor.dtype} ({error})") from error
    if sample.dtype.kind == "f" and not np.all(np.isfinite(sample)):
        raise ExportError(f"samples of input {tensor.name} hold NaN or infinity; give real inputs")
    shape = tensor.shape[1:]
    if not tensor.fits(sample.shape):
        raise ExportError(f"samples of input {tensor.name} have shape {sample.shape}; give (N, {str(shape)[1:]}")
    return sample


def write_golden(folder: Path, cases: Mapping[str, Iterable[Case]]) -> None:
    """Write inputs and outputs of every endpoint to separate files: a runner never reads the expected outputs."""
    folder.mkdir()
    index = {}
    for endpoint, endpoint_cases in cases.items():
        index[endpoint] = [_case_json(case) for case in endpoint_cases]
        for kind in ("inputs", "outputs"):
            arrays = {f"{c.name}/{name}": value for c in endpoint_cases for name, value in getattr(c, kind).items()}
            protocol.save_arrays(folder / f"{endpoint}.{kind}.npz", arrays)
    (folder / "cases.json").write_text(json.dumps(index, indent=1) + "\n")


def _case_json(case: Case) -> dict[str, Any]:
    data = {"name": case.name, "judged": case.compared, "rows": list(case.rows), "may_raise": case.may_raise}
    data |= {"unsteady": list(case.unstable_rows)} if case.unstable_rows else {}
    return data | ({"chain": case.chain} if case.chain else {})


def read_golden(folder: Path, contract: Contract) -> dict[str, list[Case]]:
    """Read the golden cases that `write_golden` wrote.

    Raises:
        ExportError: If the files are malformed, or do not fit the contract.
    """
    try:
        return {endpoint.name: _read_cases(folder, endpoint) for endpoint in contract.endpoints}
    except Exception as error:  # files of others may hold anything
        raise ExportError(f"the golden files in {folder} are malformed ({one_line(error)}); export again") from error


def _read_cases(folder: Path, endpoint: Endpoint) -> list[Case]:
    outputs = protocol.read_arrays(folder / f"{endpoint.name}.outputs.npz")
    cases = [
        Case(
            *(c["name"], c["inputs"], c["judged"], tuple(c["rows"]), c.get("may_raise", False)),
            *(c.get("chain", {}), _with_prefix(outputs, c["name"]), tuple(c.get("unsteady", ()))),
            scores=_scores(endpoint),
        )
        for c in protocol.read_cases(folder, endpoint.name)
    ]
    for case in cases:
        _check(case, endpoint)
    if len({case.name for case in cases}) < len(cases):
        raise ValueError(f"two cases of {endpoint.name} share a name")
    return cases


def _check(case: Case, endpoint: Endpoint) -> None:
    """Raise ValueError or TypeError for a case that does not fit its endpoint."""
    if "/" in case.name or not all(isinstance(value, bool) for value in (case.compared, case.may_raise)):
        raise ValueError(f"case {case.name!r} is not valid")
    # the shape of an output that is only reported is undefined: a convolution of oneDNN returns another one for no rows
    for tensors, arrays, defined in (
        (endpoint.inputs, case.inputs, True),
        (endpoint.outputs, case.outputs, case.compared),
    ):
        if arrays and set(arrays) != {tensor.name for tensor in tensors}:
            raise ValueError(f"case {case.name} has arrays of {', '.join(sorted(arrays))}")
        for tensor in tensors if arrays else ():
            array = arrays[tensor.name]
            if (defined and not tensor.fits(array.shape)) or (array.dtype == object) != (tensor.dtype == "string"):
                raise ValueError(f"{tensor.name} of case {case.name} is {array.dtype} {array.shape}")
    counts = {
        len(array) for name, array in case.inputs.items() if name not in case.chain
    }  # a chain has one first state
    if len(counts) != 1:
        raise ValueError(f"the inputs of case {case.name} have {sorted(counts)} rows")
    (rows,) = counts
    if case.rows and (len(case.rows) != rows or not all(isinstance(name, str) for name in case.rows)):
        raise ValueError(f"case {case.name} has other names than rows")
    if not all(0 <= row < rows for row in case.unstable_rows):
        raise ValueError(f"case {case.name} has other unsteady rows than rows")
    if not set(case.chain) <= set(case.inputs) or not set(case.chain.values()) <= {t.name for t in endpoint.outputs}:
        raise ValueError(f"the chain of case {case.name} names unknown tensors")


def _with_prefix(arrays: Mapping[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    return {key[len(case) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{case}/")}
