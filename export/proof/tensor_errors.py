"""Name the layers of a failed quantised TFLite file that add most quantisation noise."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from export.contract.artifact import Artifact
from export.parity.golden import TYPICAL
from export.proof.certificate import FAIL, Certificate
from export.proof.layer_diff import first_case
from export.proof.prove import Subject
from export.runners.lib import protocol
from export.runtime import process

FLOAT = "tflite/float32.tflite"
NAMED = 3
ROWS = 32


def name_worst_layers(subject: Subject, certificate: Certificate) -> None:
    """Add to the reason of each failed quantised file the layers that add most noise, against the float file.

    Nothing is added where there is no float file, or the quantised file does not run.
    """
    artifacts = {artifact.path: artifact for artifact in subject.artifacts}
    if FLOAT not in artifacts or artifacts[FLOAT].state is not None:
        return
    for row in certificate.artifacts:
        artifact = artifacts.get(row.artifact)
        is_quantised = artifact is not None and artifact.quantize and artifact.state is None
        if is_quantised and row.state == FAIL and row.endpoints and (clause := _worst(subject, artifact)):
            row.reason = f"{row.reason}; {clause}"


def _worst(subject: Subject, artifact: Artifact) -> str | None:
    """Return a clause about the layers of an artifact that add most noise, or None."""
    name = artifact.endpoints[0]
    cases = subject.cases[name]
    case = next((case for case in cases if case.name == TYPICAL), None) or first_case(cases)
    if case is None or any(value.dtype.kind in "OSU" for value in case.inputs.values()):
        return None
    dtypes = {tensor.name: tensor.dtype for tensor in subject.contract[name].inputs}
    with tempfile.TemporaryDirectory(prefix="tensor-errors-") as scratch:
        inputs, result = Path(scratch) / "inputs.npz", Path(scratch) / "result.json"
        protocol.save_arrays(inputs, {k: v[:ROWS].astype(dtypes[k]) for k, v in case.inputs.items()})
        job = {
            "float": str((subject.folder / FLOAT).resolve()),
            "quantised": str((subject.folder / artifact.path).resolve()),
            "signature": name,
            "inputs": str(inputs),
            "result": str(result),
        }
        process.run_script("run_tensor_errors.py", job, Path(scratch))
        ranking = json.loads(result.read_text()) if result.is_file() else []
    worst = [f"{operator['layer']} ({operator['sqnr_db']} dB)" for operator in ranking[:NAMED] if operator["added"] > 0]
    return f"most noise is added by {', '.join(worst)}" if worst else None
