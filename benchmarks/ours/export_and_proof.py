"""Seconds of `export_model` with its default formats and full verification: export_and_proof.py MODEL|PARAMETERS.

The time of imports and of building the model is not included.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from export.runtime.backend import load_tensorflow

load_tensorflow()

import export.exporter  # noqa: E402 - the log level of TensorFlow is set first
from benchmarks.timing import networks  # noqa: E402
from benchmarks.timing.process import MemoryMonitor  # noqa: E402


def main(what: str) -> dict[str, float]:
    """Export and verify; return seconds, CPU seconds and the memory of all processes together."""
    model = networks.sized(int(what)) if what.isdigit() else networks.build(what)
    with tempfile.TemporaryDirectory() as folder, MemoryMonitor() as memory:
        used, start = memory.cpu_seconds(), time.perf_counter()
        export.exporter.export_model(model, Path(folder) / "bundle")
        seconds, used = time.perf_counter() - start, memory.cpu_seconds() - used
    return {"value": seconds, "CPU seconds": used, "peak MB": memory.mb, "size": model.count_params()}


print(json.dumps(main(sys.argv[1])))
