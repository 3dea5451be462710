"""Golden cases, and the files of a bundle that hold them: plain arrays, without pickle."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint
from export.protocol import arrays, runner
from export.protocol.calls import one_line
from zoobase.errors import ExportError

TYPICAL = "typical"  # name of the case of real inputs, on which quantised artifacts are evaluated
REAL = ("real", TYPICAL)  # cases that are not generated
LARGEST_CASE = 2_000_000  # bytes; a batch of 32 that is larger is left out


@dataclass
class GoldenCase:
    """Inputs of one call, and the outputs of the reference model for them."""

    name: str  # unique in its endpoint
    inputs: dict[str, np.ndarray] = field(default_factory=dict)  # by input name, strings as object arrays of bytes
    compared: bool = True  # False where the outcome is only reported
    rows: tuple[str, ...] = ()  # name of each row, for messages; empty if the rows need no names
    may_raise: bool = False  # whether the reference may raise; a runtime must then raise too
    # state input -> output that is its next value, where rows are steps of one sequence
    chain: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)  # by output name, of the reference; empty if it raised
    unstable_rows: tuple[int, ...] = ()  # named rows at which the reference is discontinuous, not compared
    # noise (rows,) of each named row of an output, measured in every proof
    row_noise: dict[str, np.ndarray] = field(default_factory=dict)
    # output of class ids -> the output whose largest values they name
    scores: dict[str, str] = field(default_factory=dict)

    def stable(self, array: np.ndarray) -> np.ndarray:
        """Return the rows of an output that are compared."""
        return np.delete(array, [i for i in self.unstable_rows if i < len(array)], 0) if self.unstable_rows else array

    def row_name(self, stable_row: int, rows: int) -> str:
        """Return the name of a row for messages, given its position among the stable ones of `rows`."""
        row = int(self.stable(np.arange(rows))[stable_row])
        return f"row {row}" + (f" ({self.rows[row]})" if self.rows else "")

    def unstable_names(self) -> list[str]:
        """Return the names of the rows that are not compared."""
        return [self.rows[i] for i in self.unstable_rows]


def output_names(cases: Iterable[GoldenCase]) -> list[str]:
    """Return the outputs of any of the cases, in order."""
    return list(dict.fromkeys(name for case in cases for name in case.outputs))


def scores_of(endpoint: Endpoint) -> dict[str, str]:
    """Return {output of class ids: the first logits or probabilities of the same shape with one axis more}."""
    every = [t for t in endpoint.outputs if t.meaning in ("logits", "probabilities")]
    return {
        ids.name: scores[0].name
        for ids in endpoint.outputs
        if ids.meaning == "class_ids" and (scores := [t for t in every if t.shape[:-1] == ids.shape])
    }


def write_golden(folder: Path, cases: Mapping[str, Iterable[GoldenCase]]) -> None:
    """Write inputs and outputs of every endpoint to separate files: a runner never reads the expected outputs."""
    folder.mkdir()
    index = {}
    for endpoint, endpoint_cases in cases.items():
        index[endpoint] = [case_json(case) for case in endpoint_cases]
        for kind in ("inputs", "outputs"):
            values = {(c.name, name): value for c in endpoint_cases for name, value in getattr(c, kind).items()}
            arrays.save_arrays(folder / f"{endpoint}.{kind}.npz", values)
    (folder / "cases.json").write_text(json.dumps(index, indent=1) + "\n")


def case_json(case: GoldenCase) -> dict[str, Any]:
    """Return what a runner must know of a case besides its inputs."""
    data = {"name": case.name, "compared": case.compared, "rows": list(case.rows), "may_raise": case.may_raise}
    noise = {output: values.tolist() for output, values in case.row_noise.items()}
    return data | {"unstable_rows": list(case.unstable_rows), "chain": case.chain, "row_noise": noise}


def read_golden(folder: Path, contract: Contract) -> dict[str, list[GoldenCase]]:
    """Read the golden cases that `write_golden` wrote; ExportError if they are malformed or do not fit the contract."""
    try:
        return {endpoint.name: _read_cases(folder, endpoint) for endpoint in contract.endpoints}
    except Exception as error:  # files of others may hold anything
        raise ExportError(f"the golden files in {folder} are malformed ({one_line(error)}); export again") from error


def _read_cases(folder: Path, endpoint: Endpoint) -> list[GoldenCase]:
    stored, cases = arrays.read_arrays(folder / f"{endpoint.name}.outputs.npz"), []
    for data in runner.read_cases(folder, endpoint.name):
        outputs = {name: value for (case, name), value in stored.items() if case == data["name"]}
        tuples = {key: tuple(data.pop(key)) for key in ("rows", "unstable_rows")}
        noise = {output: np.array(values, float) for output, values in data.pop("row_noise").items()}
        cases.append(GoldenCase(**data, **tuples, outputs=outputs, row_noise=noise, scores=scores_of(endpoint)))
        _check(cases[-1], endpoint)
    if len({case.name for case in cases}) < len(cases):
        raise ValueError(f"two cases of {endpoint.name} share a name")
    return cases


def _check(case: GoldenCase, endpoint: Endpoint) -> None:
    """Raise ValueError or TypeError for a case that does not fit its endpoint."""
    if "/" in case.name or not all(isinstance(value, bool) for value in (case.compared, case.may_raise)):
        raise ValueError(f"case {case.name!r} is not valid")
    # the shape of an output that is only reported is undefined: a convolution of oneDNN returns another one for no rows
    for tensors, values, defined in (
        (endpoint.inputs, case.inputs, True),
        (endpoint.outputs, case.outputs, case.compared),
    ):
        if values and set(values) != {tensor.name for tensor in tensors}:
            raise ValueError(f"case {case.name} has arrays of {', '.join(sorted(values))}")
        for tensor in tensors if values else ():
            array = values[tensor.name]
            if (defined and not tensor.fits(array.shape)) or (array.dtype == object) != (tensor.dtype == "string"):
                raise ValueError(f"{tensor.name} of case {case.name} is {array.dtype} {array.shape}")
    # a chain has one first state
    counts = {len(array) for name, array in case.inputs.items() if name not in case.chain}
    if len(counts) != 1:
        raise ValueError(f"the inputs of case {case.name} have {sorted(counts)} rows")
    (rows,) = counts
    if case.rows and (len(case.rows) != rows or not all(isinstance(name, str) for name in case.rows)):
        raise ValueError(f"case {case.name} has other names than rows")
    if not all(0 <= row < rows for row in case.unstable_rows):
        raise ValueError(f"case {case.name} has other unstable rows than rows")
    if any(noise.shape != (rows,) for noise in case.row_noise.values()):
        raise ValueError(f"case {case.name} has the noise of other rows")
    if not set(case.chain) <= set(case.inputs) or not set(case.chain.values()) <= {t.name for t in endpoint.outputs}:
        raise ValueError(f"the chain of case {case.name} names unknown tensors")
