"""Name the layers of a failed quantised TFLite file that add most quantisation noise."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from export.contract import Artifact
from export.parity.cases import TYPICAL
from export.proof.certificate import CAUSE, FAIL, Finding, Row
from export.proof.layer_diff import first_case
from export.proof.prove import ProofRequest
from export.runtime import process
from export.wire.arrays import save_arrays

FLOAT = "tflite/float32.tflite"
NAMED = 3
ROWS = 32


def with_worst_layers(request: ProofRequest, rows: Sequence[Row]) -> list[Row]:
    """Return the rows, those of failed quantised files with the layers that add most noise, against the float file.

    Nothing is added where there is no float file, or the quantised file does not run.
    """
    present = {artifact.path: artifact for artifact in request.artifacts if artifact.state is None}

    def explained(row: Row) -> Row:
        artifact = present.get(row.artifact)
        is_failed = artifact is not None and artifact.quantize and row.state == FAIL and row.endpoints
        clause = _worst(request, artifact) if is_failed else None
        return row.with_findings(Finding(clause, CAUSE)) if clause else row

    return [explained(row) for row in rows] if FLOAT in present else list(rows)


def _worst(request: ProofRequest, artifact: Artifact) -> str | None:
    """Return a clause about the layers of an artifact that add most noise, or None."""
    name = artifact.endpoints[0]
    cases = request.cases[name]
    case = next((case for case in cases if case.name == TYPICAL), None) or first_case(cases)
    if case is None or any(value.dtype.kind in "OSU" for value in case.inputs.values()):
        return None
    dtypes = {tensor.name: tensor.dtype for tensor in request.contract[name].inputs}
    with tempfile.TemporaryDirectory(prefix="tensor-errors-") as scratch:
        inputs, result = Path(scratch) / "inputs.npz", Path(scratch) / "result.json"
        save_arrays(inputs, {k: v[:ROWS].astype(dtypes[k]) for k, v in case.inputs.items()})
        job = {
            "float": str((request.folder / FLOAT).resolve()),
            "quantized": str((request.folder / artifact.path).resolve()),
            "signature": name,
            "inputs": str(inputs),
            "result": str(result),
        }
        process.run_script("run_tensor_errors.py", job, Path(scratch))
        ranking = json.loads(result.read_text()) if result.is_file() else []
    worst = [f"{operator['layer']} ({operator['sqnr_db']} dB)" for operator in ranking[:NAMED] if operator["added"] > 0]
    return f"most noise is added by {', '.join(worst)}" if worst else None
