"""Find the first operator of a file that two runtimes, or two releases of one, compute differently, by bisection.

The file is cut off after an operator, and the part is run in both. So what a runtime fuses before that point is still
fused, which it would not be if every intermediate result were returned.
"""

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts.calling import ThirdPartyTensor, run_artifact
from export.contract import Endpoint
from export.formats import FORMATS, QUANTIZATIONS, onnx, saved_model, tflite
from export.parity.cases import GoldenCase
from export.parity.distance import max_row_error
from export.protocol.arrays import Outputs
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from export.runtime import process

TRUNCATE = {  # the script, and what its process is forked from
    onnx.FORMAT.name: ("jobs/truncate_onnx.py", None),
    tflite.FORMAT.name: ("jobs/truncate_tflite.py", None),
    saved_model.FORMAT.name: ("jobs/truncate_saved_model.py", "keras"),
}
FUSED = 3  # operators before one that are named
LARGEST_HALF = float(np.finfo(np.float16).max)
TOLERANCE = 4e-5  # of the values of an operator, in units of the largest one of the row


@dataclass(frozen=True)
class OperatorDifference:
    """The first operator with equal inputs and different results."""

    type: str  # its type, such as `Conv`
    tensor: str  # the name of its result
    error: float  # the largest difference, in units of the row; of integers in steps
    # types of the operators that it follows, which a runtime may have fused with it, the last one last
    before: tuple[str, ...]
    expected: np.ndarray = field(repr=False)  # the result in the runtime that is right
    # types of the operators that take its result, where that is an output, too, and right in a file that ends with it
    consumers: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return it for people."""
        name = (self.tensor.rpartition(":")[0] or self.tensor).split(";")[0][-80:]
        if self.consumers:
            text = f"{self.type} ({name}) is wrong only where its result is an output and an input of another operator"
            return f"{text}, {', '.join(self.consumers)}"
        unit = "" if np.issubdtype(self.expected.dtype, np.floating) else " steps"
        after = f" after {', '.join(self.before)}" if self.before else ""
        return f"the first operator that differs is {self.type}{after} ({name}), by {self.error:.2g}{unit}"


def first_operator(
    path: Path,
    format: str,
    endpoint: Endpoint,
    case: GoldenCase,
    right: Runtime,
    other: Runtime,
    tolerance: float = TOLERANCE,
    output: str | None = None,
) -> OperatorDifference | None:
    """Return the first operator of an artifact that two runtimes compute differently; `output` is one that differs."""
    if format not in TRUNCATE:
        return None
    with tempfile.TemporaryDirectory(prefix="operators-") as scratch:
        search = _Search(path.resolve(), format, endpoint, case, (right, other), Path(scratch), tolerance, output)
        return search.first()


def tolerance_of(runtime: Runtime, quantize: str | None = None) -> float:
    """Return how much results of operators may differ, in units of the row, where a file or a runtime is less exact."""
    form = quantize or runtime.precision
    return 10 ** (-QUANTIZATIONS[form].budget.sqnr_db / 20) if form else TOLERANCE


def explain(
    path: Path,
    format: str,
    endpoint: Endpoint,
    cases: Iterable[GoldenCase],
    outputs: Outputs,
    runtime: Runtime,
    quantize: str | None = None,
) -> str | None:
    """Return a clause about the first operator that a runtime computes otherwise than its counterpart, or None.

    It is looked for in the smallest case of which an output differs; `quantize` is the form of the file.
    """
    tolerance = tolerance_of(runtime, quantize)
    for case in sorted(cases, key=lambda case: len(next(iter(case.inputs.values())))) if runtime.counterpart else ():
        for output, expected in case.outputs.items():
            value = outputs.get(case.name, output)
            if case.chain or value is None or max_row_error(case.stable(expected), case.stable(value)) <= tolerance:
                continue
            options = {"tolerance": tolerance, "output": output}
            found = first_operator(path, format, endpoint, case, RUNTIMES[runtime.counterpart], runtime, **options)
            if found is None:
                return None
            largest = float(np.max(np.abs(found.expected), initial=0)) if runtime.precision else 0.0
            overflow = f"; its result reaches {largest:,.0f}, and half precision ends at {LARGEST_HALF:,.0f}"
            return found.sentence() + (overflow if largest > LARGEST_HALF else "")
    return None


@dataclass
class _Search:
    path: Path
    format: str
    endpoint: Endpoint
    case: GoldenCase
    runtimes: tuple[Runtime, Runtime]
    scratch: Path
    tolerance: float
    output: str | None
    results: dict[str, OperatorDifference | None] = field(default_factory=dict)

    def first(self) -> OperatorDifference | None:
        """Bisect the operators that a differing result depends on, until all inputs of the found one are equal."""
        operators = self.job(None, self.scratch / "none") or []
        producers = {tensor: i for i, operator in enumerate(operators) for tensor in operator["outputs"]}
        consumed = {tensor for operator in operators for tensor in operator["inputs"]}
        ends = [t for t in producers if t not in consumed]
        if self.output and (of_output := self._only_in_the_whole(operators)):
            return of_output
        tensor = next((t for t in reversed(ends) if self._difference(t)), None)
        while tensor is not None:
            chain = _ancestors(operators, producers, producers[tensor])
            equal, different = -1, len(chain) - 1
            while different - equal > 1:
                middle = (equal + different) // 2
                result = operators[chain[middle]]["outputs"][0]
                equal, different = (equal, middle) if self._difference(result) else (middle, different)
            operator = operators[chain[different]]
            tensor = next((t for t in operator["outputs"] if self._difference(t)), tensor)
            source = next((t for t in operator["inputs"] if t in producers and self._difference(t)), None)
            if source is None:
                found, before = self.results[tensor], _preceding(operators, producers, operator)
                return dataclasses.replace(found, type=operator["type"], before=before) if found else None
            tensor = source
        return None

    def _only_in_the_whole(self, operators: Sequence[Mapping[str, Any]]) -> OperatorDifference | None:
        """Return the operator of the output, if other operators take its result and it is right without them."""
        for operator in operators:
            for tensor, output in operator.get("returns", {}).items():
                consumers = tuple(other["type"] for other in operators if tensor in other["inputs"])
                if output == self.output and consumers and not self._difference(tensor):
                    return OperatorDifference(operator["type"], tensor, math.inf, (), np.empty(0), consumers)
        return None

    def _difference(self, tensor: str) -> OperatorDifference | None:
        """Return how much the result of an operator differs, or None."""
        if tensor not in self.results:
            part = self.scratch / f"{len(self.results)}{FORMATS[self.format].extension}"
            self.results[tensor] = self._compare(tensor, part)
        return self.results[tensor]

    def _compare(self, tensor: str, part: Path) -> OperatorDifference | None:
        output = self.job(tensor, part)
        if output is None:
            return None
        named = ThirdPartyTensor(output["name"], output["dtype"], tuple(output.get("shape", ())))
        endpoint = dataclasses.replace(self.endpoint, outputs=(named,))
        case, values = dataclasses.replace(self.case, outputs={}), []
        for runtime in self.runtimes:
            run = run_artifact(part, self.format, [endpoint], {endpoint.name: [case]}, [runtime])[runtime.name]
            value = run.of(endpoint.name).of(self.case.name).get(output["name"])
            if value is None:
                return None
            values.append(value)
        error = max_row_error(*values)
        if error <= self.tolerance:
            return None
        if values[0].shape == values[1].shape and values[0].dtype.kind in "iu":
            error = float(np.max(np.abs(values[0].astype(np.int64) - values[1].astype(np.int64))))
        return OperatorDifference("", tensor, error, (), values[0])

    def job(self, tensor: str | None, out: Path) -> Any:
        """Write the part of the file that ends with a tensor; of None, return the operators of the file."""
        script, loaded = TRUNCATE[self.format]
        job = {"path": str(self.path), "signature": self.endpoint.name, "tensor": tensor, "out": str(out)}
        return process.run_job(script, job, self.scratch, loaded, reads=[self.path], writes=[out.parent])[0]


def _preceding(
    operators: Sequence[Mapping[str, Any]], producers: Mapping[str, int], operator: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the types of the operators on the path to an operator along first inputs."""
    types: list[str] = []
    while len(types) < FUSED and operator["inputs"] and (index := producers.get(operator["inputs"][0])) is not None:
        operator = operators[index]
        types.insert(0, operator["type"])
    return tuple(types)


def _ancestors(operators: Sequence[Mapping[str, Any]], producers: Mapping[str, int], last: int) -> list[int]:
    """Return the operators that one depends on, itself included, in order."""
    found, pending = set(), [last]
    while pending:
        index = pending.pop()
        if index not in found:
            found.add(index)
            pending += [producers[name] for name in operators[index]["inputs"] if name in producers]
    return sorted(found)
