"""How fast an artifact of the fashion_mnist bundle answers in its runtime: infer.py RUNTIME PATH.

The runtime is opened by the runner that the proof uses, which imports NumPy and the runtime and nothing else of ours.
But LiteRT computes on one core and a row at a time unless it is told otherwise; here it gets what the others take.
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
    order = {"path": str(BUNDLE / path), "endpoints": [endpoint]}
    call = runner.open_artifact(order, {})["serving_default"]["main"]
    return lambda images: call({"image": images})


def load_litert(path: str):
    """Open a TFLite file on all cores, and resize it to the batch; return a function of images."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(BUNDLE / path), num_threads=len(os.sched_getaffinity(0)))
    (takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = None

    def call(images):
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(takes["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(takes["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(gives["index"])

    return call


def main(runtime: str, path: str) -> dict:
    """Measure, or say why not."""
    if not (BUNDLE / path).exists():
        return {"not_run": f"the bundle has no {path}: pip install 'keras-proof-zoo[onnx]'"}
    return latency.told(lambda: load_litert(path) if runtime == "litert" else load(runtime, path))


print(json.dumps(main(*sys.argv[1:])))
