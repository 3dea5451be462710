"""Latency of an artifact of the fashion_mnist bundle in its runtime: infer.py RUNTIME PATH.

The artifact is opened by the runner of the verification, which imports only NumPy and the runtime. LiteRT uses one core
and batch size 1 by default; here it uses all cores and the full batch, like the other runtimes.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from benchmarks.timing import latency

BUNDLE = Path(os.environ["BENCHMARK_DATA"]) / "inference"


def load(runtime: str, path: str):
    """Open an artifact; return a function of images."""
    contract = json.loads((BUNDLE / "manifest.json").read_text())["contract"]
    endpoint = next(e for e in contract["endpoints"] if e["name"] == "serving_default")
    runner = importlib.import_module(f"export.runners.run_{runtime}")
    request = {"path": str(BUNDLE / path), "endpoints": [endpoint]}
    call = runner.open_artifact(request, {})["serving_default"]["main"]
    return lambda images: call({"image": images})


def load_litert(path: str):
    """Open a TFLite file on all cores, and resize it to the batch; return a function of images."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(BUNDLE / path), num_threads=len(os.sched_getaffinity(0)))
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = None

    def call(images):
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(source["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return call


def main(runtime: str, path: str) -> dict:
    """Measure, or return the reason why not."""
    if not (BUNDLE / path).exists():
        return {"not_run": f"the bundle has no {path}: pip install '.[onnx]'"}
    return latency.measure(lambda: load_litert(path) if runtime == "litert" else load(runtime, path))


print(json.dumps(main(*sys.argv[1:])))
