"""TFLite with builtin operators and batch 1, the only form that every interpreter and browser runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from export import process
from export.contract import Contract
from export.formats import Artifact
from export.formats.saved_model import save


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Prepare `tflite/float32.tflite`; the conversion runs in a process of its own when the artifact is finished."""
    endpoints = contract.carried_by("tflite")
    scratch = folder / ".tflite-work"  # goes with the staging folder, whatever happens
    scratch.mkdir()
    save(model, endpoints, scratch / "saved_model", batch=1)
    (folder / "tflite").mkdir()
    artifact = Artifact("tflite", "tflite/float32.tflite", tuple(e.name for e in endpoints), batch=1)
    artifact.finish = lambda: _convert(artifact, folder / artifact.path, scratch)
    return artifact


def _convert(artifact: Artifact, path: Path, scratch: Path) -> None:
    result = scratch / "result.json"
    job = {
        "saved_model": str(scratch / "saved_model"),
        "out": str(path),
        "result": str(result),
        "signatures": list(artifact.endpoints),
    }
    try:
        ended = process.run_script("convert_tflite.py", job, scratch)
        if ended.problem or not result.exists():
            artifact.state, artifact.reason = "fail", f"the converter {ended.problem}"
            return
        report = json.loads(result.read_text())
        artifact.producer = report["versions"]
        if report["flex"]:
            artifact.state = "unsupported"
            artifact.reason = f"no builtin TFLite operator for {', '.join(report['flex'])}, and no interpreter has Flex"
        elif report["error"]:
            artifact.state, artifact.reason = "fail", f"the converter says {report['error']}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if artifact.state:
            shutil.rmtree(path.parent, ignore_errors=True)
