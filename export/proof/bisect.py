"""Find the first layer that TFLite computes wrongly, by bisection over truncated models. Slow, therefore optional."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract, Endpoint, Tensor
from export.contract.endpoints import tensor_endpoint
from export.formats import QUANTIZATIONS, tflite
from export.parity.cases import GoldenCase, write_golden
from export.parity.distance import is_real, max_row_error
from export.proof.certificate import CAUSE, FAIL, UNSUPPORTED, Finding, Row
from export.proof.layer_diff import TOLERANCE, first_case, rows_of
from export.proof.reference import run_reference
from export.runners import RUNTIMES
from export.runtime.execution import run_all


def explain(
    model: Any,
    contract: Contract,
    cases: Mapping[str, Sequence[GoldenCase]],
    artifacts: Sequence[Artifact],
    rows: Sequence[Row],
    calibration: Mapping[str, np.ndarray] | None,
) -> list[Row]:
    """Return the rows, those of failed TFLite files with the first layer that differs or cannot be converted."""
    case = first_case(cases[contract.endpoints[0].name])
    precisions = {artifact.path: artifact.quantize for artifact in artifacts if artifact.format == tflite.FORMAT.name}

    def explained(row: Row) -> Row:
        if row.artifact not in precisions or row.state not in (FAIL, UNSUPPORTED) or case is None:
            return row
        clause = first_layer(model, contract.endpoints[0], case, precisions[row.artifact], calibration)
        return row.with_findings(Finding(clause, CAUSE)) if clause else row

    return [explained(row) for row in rows]


def first_layer(
    model: Any,
    endpoint: Endpoint,
    case: GoldenCase,
    quantize: str | None = None,
    calibration: Mapping[str, np.ndarray] | None = None,
) -> str | None:
    """Return a clause about the first layer up to which the truncated model is not equal in TFLite."""
    if not getattr(model, "inputs", None):
        return None
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    last_equal, first_wrong, reason = -1, len(layers), None
    while first_wrong - last_equal > 1:
        middle = (last_equal + first_wrong) // 2
        problem = _problem(_truncate(model, layers[middle], endpoint), case, quantize, calibration)
        if problem:
            first_wrong, reason = middle, problem
        else:
            last_equal = middle
    return f"the first layer that TFLite gets wrong is {layers[first_wrong].name}: {reason}" if reason else None


def _truncate(model: Any, layer: Any, endpoint: Endpoint) -> tuple[Any, Endpoint]:
    """Return the model up to a layer, and its endpoint."""
    import keras

    outputs = layer.output if isinstance(layer.output, list) else [layer.output]
    truncated = keras.Model(model.inputs, outputs)
    tensors = [Tensor(f"output_{i}", str(value.dtype), tuple(value.shape)) for i, value in enumerate(outputs)]
    call = tensor_endpoint(
        truncated, endpoint.inputs, tensors, structure="list" if len(endpoint.inputs) > 1 else "tensor"
    )
    return truncated, dataclasses.replace(call, formats=(tflite.FORMAT.name,))


def _problem(
    truncated: tuple[Any, Endpoint],
    case: GoldenCase,
    quantize: str | None,
    calibration: Mapping[str, np.ndarray] | None,
) -> str | None:
    """Convert and run a truncated model; return a clause about its first difference, or None."""
    part, endpoint = truncated
    contract = Contract((endpoint,))
    with tempfile.TemporaryDirectory(prefix="bisect-") as scratch:
        folder = Path(scratch)
        cases = {endpoint.name: [GoldenCase("x", rows_of(case, endpoint.batch))]}
        run_reference(contract, cases)
        write_golden(folder / "golden", cases)
        if quantize:
            artifact = tflite.write_quantized(part, contract, folder, QUANTIZATIONS[quantize], calibration)
        else:
            artifact = tflite.write(part, contract, folder, 1)
        runtime = RUNTIMES["litert"]
        runs = run_all(folder, contract, {runtime.name: (runtime, [artifact])}, ())
        if artifact.state:
            return artifact.reason
        run = runs[runtime.name, artifact.path]
        outputs = run.of(endpoint.name)
        for name, reference in cases[endpoint.name][0].outputs.items():
            value = outputs.get("x", name)
            if value is None:
                return run.failure or outputs.first_error()
            difference = max_row_error(reference, value)
            if not difference <= TOLERANCE:
                return f"differs by {difference:.2g}" if is_real(reference) else "differs"
    return None
