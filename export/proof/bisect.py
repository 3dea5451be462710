"""Find the first layer that TFLite gets wrong, by exporting ever shorter beginnings of the model. Slow: ask for it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.contract.artifact import Artifact
from export.contract.endpoints import tensor_endpoint
from export.formats import tflite
from export.parity.distance import is_real, spread
from export.parity.golden import Case, write_golden
from export.proof.certificate import FAIL, UNSUPPORTED, Row
from export.proof.layer_diff import TOLERANCE, first_case, rows_of
from export.proof.reference import run_reference
from export.runtime.execution import run_all
from export.runtime.runtimes import RUNTIMES


def explain(
    model: Any,
    contract: Contract,
    cases: Mapping[str, Sequence[Case]],
    artifacts: Sequence[Artifact],
    rows: Sequence[Row],
    calibration: Mapping[str, np.ndarray] | None,
) -> None:
    """Add to the reason of each failed TFLite row which layer is the first that differs, or cannot be converted."""
    case = first_case(cases[contract.endpoints[0].name])
    by_path = {artifact.path: artifact for artifact in artifacts}
    for row in rows:
        if row.format == "tflite" and row.state in (FAIL, UNSUPPORTED) and case is not None:
            found = first_layer(model, contract.endpoints[0], case, by_path[row.artifact].quantize, calibration)
            row.reason = f"{row.reason}; {found}" if found else row.reason


def first_layer(
    model: Any,
    endpoint: Endpoint,
    case: Case,
    quantize: str | None = None,
    calibration: Mapping[str, np.ndarray] | None = None,
) -> str | None:
    """Return a clause about the first layer whose beginning of the model is not right in TFLite.

    Args:
        model: A built functional or Sequential model; nothing can be said of others.
        endpoint: The model's own call.
        case: Inputs.
        quantize: The precision of the TFLite files.
        calibration: For int8.

    Returns:
        A clause; None if the model has no beginnings, or all of them are right.
    """
    if not getattr(model, "inputs", None):
        return None
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    right, wrong, why = -1, len(layers), None
    while wrong - right > 1:
        middle = (right + wrong) // 2
        problem = _problem(_beginning(model, layers[middle], endpoint), case, quantize, calibration)
        if problem:
            wrong, why = middle, problem
        else:
            right = middle
    return f"the first layer that TFLite gets wrong is {layers[wrong].name}: {why}" if why else None


def _beginning(model: Any, layer: Any, endpoint: Endpoint) -> tuple[Any, Endpoint]:
    """Return the model up to a layer, and its endpoint."""
    import keras

    outputs = layer.output if isinstance(layer.output, list) else [layer.output]
    part = keras.Model(model.inputs, outputs)
    tensors = [Tensor(f"output_{i}", str(value.dtype), tuple(value.shape)) for i, value in enumerate(outputs)]
    whole = tensor_endpoint(part, endpoint.inputs, tensors, structure="list" if len(endpoint.inputs) > 1 else "tensor")
    return part, dataclasses.replace(whole, formats=("tflite",))


def _problem(
    beginning: tuple[Any, Endpoint], case: Case, quantize: str | None, calibration: Mapping[str, np.ndarray] | None
) -> str | None:
    """Convert and run a beginning; return what is wrong with it, or None."""
    part, endpoint = beginning
    contract = Contract((endpoint,))
    with tempfile.TemporaryDirectory(prefix="bisect-") as scratch:
        folder = Path(scratch)
        cases = {endpoint.name: [Case("x", rows_of(case, endpoint.batch))]}
        run_reference(contract, cases)
        write_golden(folder / "golden", cases)
        if quantize:
            artifact = tflite.write_quantised(part, contract, folder, quantize, calibration)
        else:
            artifact = tflite.write(part, contract, folder, 1)
        runtime = RUNTIMES["litert"]
        runs = run_all(folder, contract, {runtime.name: (runtime, [artifact])}, ())
        if artifact.state:
            return artifact.reason
        run = runs[runtime.name, artifact.path]
        arrays = run.arrays.get(endpoint.name, {})
        for name, reference in cases[endpoint.name][0].outputs.items():
            value = arrays.get(f"x/main/{name}")
            if value is None:
                return run.problem or run.report.get("error") or next(iter(run.errors.get(endpoint.name, {}).values()))
            apart = spread(reference, value)
            if not apart <= TOLERANCE:
                return f"differs by {apart:.2g}" if is_real(reference) else "differs"
    return None
