"""Run a SavedModel in OpenVINO, whose own front end reads it: an implementation independent of TensorFlow."""

from __future__ import annotations

import os
import tempfile
from typing import Any

if __package__:
    from export.protocol import runner
    from export.protocol.arrays import Arrays
else:
    import runner
    from arrays import Arrays

SIGNATURE = "serving_default"  # the only signature that its front end reads
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}  # else AMX machines compute in bfloat16


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a SavedModel and return its default signature; OpenVINO runs no other signatures and no strings."""
    endpoints = [e for e in artifact["endpoints"] if e["name"] == SIGNATURE and not _strings(e)]
    if not endpoints:
        return {}
    os.environ["HOME"] = tempfile.gettempdir()  # where it keeps an id for statistics; the user's own is out of reach
    import openvino

    threads = {"INFERENCE_NUM_THREADS": runner.threads()} if runner.threads() else {}
    model = openvino.Core().compile_model(str(artifact["path"]), "CPU", EXACT | threads)
    names = [tensor["name"] for tensor in endpoints[0]["outputs"]]
    outputs = {name: model.output(name) for name in names}

    def call(inputs: Arrays) -> Arrays:
        results = model(inputs)
        return {name: results[output].copy() for name, output in outputs.items()}

    return {SIGNATURE: {"main": call}}


def _strings(endpoint: dict[str, Any]) -> bool:
    return any(tensor["dtype"] == "string" for tensor in [*endpoint["inputs"], *endpoint["outputs"]])


RUNTIME = runner.Runtime(
    "openvino",
    __file__,
    distribution="openvino",
    module="openvino",
    formats=("saved_model",),
    open=open_artifact,
    extra=True,
    process=runner.Process(imports=("openvino",)),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
