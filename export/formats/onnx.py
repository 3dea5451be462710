"""ONNX by tf2onnx: optional, written on request. A graph is one function, so it carries one endpoint."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from export.contract import Contract
from export.contract.artifact import Artifact
from export.formats.saved_model import save
from export.runtime import process

OPSET = 18  # the largest that tf2onnx 1.17 writes
SCRATCH = ".onnx-work"  # in the staging folder; the exporter removes it


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Prepare `onnx/model.onnx`; the conversion runs in a process of its own when the artifact is finished."""
    endpoint = contract.carried_by("onnx")[0]
    artifact = Artifact("onnx", "onnx/model.onnx", (endpoint.name,), batch=endpoint.batch)
    missing = [name for name in ("tf2onnx", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        artifact.state, artifact.reason = "not_run", f"{' and '.join(missing)} not installed; pip install tf2onnx onnx"
        return artifact
    scratch = folder / SCRATCH
    scratch.mkdir()
    save(model, [endpoint], scratch / "saved_model")
    job = {
        "saved_model": str(scratch / "saved_model"),
        "out": str(folder / artifact.path),
        "result": str(scratch / "result.json"),
        "signature": endpoint.name,
        "opset": OPSET,
    }
    artifact.finish = lambda: _convert(artifact, job, scratch)
    return artifact


def _convert(artifact: Artifact, job: dict[str, Any], scratch: Path) -> None:
    result = process.run_script("convert_onnx.py", job, scratch)
    result_file, out = Path(job["result"]), Path(job["out"])
    report = (
        json.loads(result_file.read_text()) if result_file.exists() else {"error": None, "unknown": [], "versions": {}}
    )
    artifact.producer = report["versions"]
    if report["unknown"]:
        artifact.state, artifact.reason = "unsupported", f"no ONNX operator for {', '.join(report['unknown'])}"
    elif result.problem or report["error"] or not out.exists():
        problem = f"failed: {report['error']}" if report["error"] else result.problem or "wrote no file"
        artifact.state, artifact.reason = "fail", f"the converter {problem}"
    if artifact.state:
        shutil.rmtree(out.parent, ignore_errors=True)
