"""Convert one signature of a SavedModel to ONNX by tf2onnx, in a process of its own.

`python -P convert_onnx.py JOB.json`, the job being
    {"saved_model": folder, "out": file, "result": file, "signature": name, "opset": number, "memory": bytes or null}
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any


def convert(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"error": why it failed or None, "versions": {library: version}}."""
    versions = {name: importlib.metadata.version(name) for name in ("tf2onnx", "onnx", "tensorflow")}
    Path(job["out"]).parent.mkdir(exist_ok=True)
    sys.argv = ["tf2onnx", "--saved-model", job["saved_model"], "--output", job["out"]]
    sys.argv += ["--signature_def", job["signature"], "--opset", str(job["opset"])]
    try:
        from tf2onnx import convert as tf2onnx

        tf2onnx.main()
        return {"error": None, "versions": versions}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:400], "versions": versions}


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    if job["memory"]:
        import resource  # not there on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    Path(job["result"]).write_text(json.dumps(convert(job)))
