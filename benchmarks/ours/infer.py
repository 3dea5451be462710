"""How fast an artifact of the fashion_mnist bundle answers in its runtime: infer.py RUNTIME PATH.

The runtime is opened by the runner that the proof uses, which imports NumPy and the runtime and nothing else of ours.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from benchmarks import latency

BUNDLE = Path(os.environ["BENCHMARK_DATA"]) / "inference"


def load(runtime: str, path: str):
    """Open an artifact; return a function of images."""
    contract = json.loads((BUNDLE / "manifest.json").read_text())["contract"]
    endpoint = next(e for e in contract["endpoints"] if e["name"] == "serving_default")
    runner = importlib.import_module(f"export.runners.run_{runtime}")
    order = {"path": str(BUNDLE / path), "endpoints": [endpoint]}
    call = runner.open_artifact(order, {})["serving_default"]["main"]
    if not path.endswith(".tflite"):
        return lambda images: call({"image": images})

    def one_by_one(images):  # the file has batch 1
        for i in range(len(images)):
            call({"image": images[i : i + 1]})

    return one_by_one


def main(runtime: str, path: str) -> dict:
    """Measure, or say why not."""
    if not (BUNDLE / path).exists():
        return {"not_run": f"the bundle has no {path}: pip install 'keras-proof-zoo[onnx]'"}
    return latency.told(lambda: load(runtime, path))


print(json.dumps(main(*sys.argv[1:])))
