"""Convert one signature of a SavedModel to ONNX by tf2onnx, in a process of its own.

`python -P convert_onnx.py JOB.json`, the job being
    {"saved_model": folder, "out": file, "result": file, "signature": name, "opset": number, "memory": bytes or null}
"""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any


def convert(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"error": why it failed or None, "unknown": operators that ONNX lacks, "versions"}."""
    versions = {name: importlib.metadata.version(name) for name in ("tf2onnx", "onnx", "tensorflow")}
    Path(job["out"]).parent.mkdir(exist_ok=True)
    sys.argv = ["tf2onnx", "--saved-model", job["saved_model"], "--output", job["out"]]
    sys.argv += ["--signature_def", job["signature"], "--opset", str(job["opset"])]
    try:
        import onnx
        from tf2onnx import convert as tf2onnx

        tf2onnx.main()
        model = onnx.load(job["out"])
        model.graph.doc_string = ""  # the path of the SavedModel, of this machine
        onnx.save(model, job["out"])
        return {"error": None, "unknown": unknown(job["out"]), "versions": versions}
    except Exception as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
        return {"error": message, "unknown": [], "versions": versions}


def unknown(file: str) -> list[str]:
    """Return the operators that ONNX does not define: tf2onnx keeps TensorFlow operators that it cannot convert."""
    import onnx

    operators, graphs = set(), [onnx.load(file).graph]
    for graph in graphs:
        for node in graph.node:
            if node.domain in ("", "ai.onnx", "ai.onnx.ml") and not onnx.defs.has(node.op_type, node.domain):
                operators.add(node.op_type)
            graphs += [inner for attribute in node.attribute for inner in (*attribute.graphs, attribute.g)]
    return sorted(operators)


if __name__ == "__main__":
    from machine import answer_job

    answer_job(convert)
