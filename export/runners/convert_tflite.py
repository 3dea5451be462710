"""Convert a SavedModel to TFLite with builtin operators only, in a process of its own: converters have segfaults.

`python -P convert_tflite.py JOB.json`, the job being
    {"saved_model": folder, "out": file, "result": file, "signatures": [names], "memory": bytes or null}
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any


def convert(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"error": why it failed or None, "flex": operators without a builtin, "versions": ...}."""
    import tensorflow as tf

    report: dict[str, Any] = {"versions": {"tensorflow": tf.__version__}, "error": None, "flex": []}
    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"], signature_keys=job["signatures"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        Path(job["out"]).write_bytes(converter.convert())
    except Exception as error:
        text = str(error)
        report["error"] = f"{type(error).__name__}: {' '.join(text.split())}"[:400]
        report["flex"] = sorted(set(re.findall(r"tf\.(\w+)(?:\(|\\?\s*op)", text)) | set(re.findall(r"Flex\w+", text)))
    return report


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    if job["memory"]:
        import resource  # not there on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    Path(job["result"]).write_text(json.dumps(convert(job)))
