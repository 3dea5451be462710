"""Quantise a float TFLite file to int8, except the operators that add most noise; by ai-edge-quantizer.

`python -P quantise_tflite.py JOB.json`, the job being
    {"float": file, "out": file, "result": file, "calibration": {signature: .npz of inputs by name},
     "keep_float": number of operators}
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
    from tensor_errors import rank_operators
else:
    from export.runners.lib.tensor_errors import rank_operators

RANKED = 32  # rows of the calibration data by which operators are ranked


def quantise(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"versions", "note": the operators that stay float}."""
    exact = Path(job["float"]).read_bytes()
    data = {}
    for signature, file in job["calibration"].items():
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        count = len(next(iter(arrays.values())))
        data[signature] = [{name: value[i : i + 1] for name, value in arrays.items()} for i in range(count)]
    quantised, ranges = _write(exact, data, [], None)
    main = next(iter(data))
    first = {name: np.concatenate([row[name] for row in data[main][:RANKED]]) for name in data[main][0]}
    ranking = rank_operators(exact, quantised, main, first)
    kept = ranking[: job["keep_float"]]
    quantised, _ = _write(exact, data, [operator["tensor"] for operator in kept], ranges)
    Path(job["out"]).parent.mkdir(exist_ok=True)
    Path(job["out"]).write_bytes(quantised)
    names = ", ".join(operator["layer"] for operator in kept)
    version = importlib.metadata.version("ai-edge-quantizer")
    note = f"{len(kept)} of {len(ranking)} operators stay float: {names}"
    return {"versions": {"ai-edge-quantizer": version}, "note": note}


def _write(exact: bytes, data: dict[str, list[dict[str, Any]]], kept: list[str], ranges: Any) -> tuple[bytes, Any]:
    """Return the int8 file, its inputs and outputs float as in the float file, and the ranges of its tensors."""
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.qtyping import TFLOperationName

    work = quantizer.Quantizer(exact, recipe.static_wi8_ai8())
    for operation in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        work.update_quantization_recipe(".*", operation, algorithm_key="no_quantize")
    for name in kept:
        pattern = f"^{re.escape(name)};"
        work.update_quantization_recipe(pattern, TFLOperationName.ALL_SUPPORTED, algorithm_key="no_quantize")
    ranges = _ranges(exact, data, work.get_quantization_recipe()) if ranges is None else ranges
    return bytes(work.quantize(ranges, enable_progress_report=False).quantized_model), ranges


def _ranges(exact: bytes, data: dict[str, list[dict[str, Any]]], recipe: Any) -> Any:
    """Return the least and the largest value of every tensor; `Quantizer.calibrate` takes a moving average of them.

    With the average, int8 of a trained classifier of Fashion-MNIST has 21 dB instead of 35 dB.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe)
    work = calibrator.Calibrator(exact, num_threads=os.cpu_count() or 1, qsv_update_func=min_max_update)
    work.calibrate(data, manager)
    return work.get_model_qsvs()


if __name__ == "__main__":
    from jobs import read_job

    job = read_job()
    Path(job["result"]).write_text(json.dumps(quantise(job)))
