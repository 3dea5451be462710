"""Quantise a float TFLite file, except the operators that lose most; by litert-quantizer.

`python -P quantize_tflite.py JOB.json`, the job being
    {"float": file, "out": file, "result": file, "calibration": {signature: .npz of inputs by name},
     "weights": "int8" or "int4", "activations": null for float, "int8" or "int16", "keep_float": number of operators}
"""

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.runners.jobs.run_tensor_errors import layers_of
else:
    from run_tensor_errors import layers_of

Types = tuple[str, str | None]  # of weights and activations
ROWS = 16  # of the calibration data, by which the choices are compared


def quantize(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"versions", "note": the operators that stay float, or None}."""
    # They are consecutive, because a float operator between two of int8 gets and gives quantised tensors. Every run of
    # so many operators is tried, and that is kept float which gives the outputs the highest signal-to-noise ratio.
    exact, types = Path(job["float"]).read_bytes(), (job["weights"], job["activations"])
    Path(job["out"]).parent.mkdir(exist_ok=True)
    versions = {"litert-quantizer": importlib.metadata.version("litert-quantizer")}
    data = {}
    for signature, file in job["calibration"].items():
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        count = len(next(iter(arrays.values())))
        data[signature] = [{name: value[i : i + 1] for name, value in arrays.items()} for i in range(count)]
    if not job["keep_float"]:
        ranges = _ranges(exact, types, data) if data else None
        Path(job["out"]).write_bytes(_write(exact, types, ranges, []))
        return {"versions": versions, "note": None}
    main = next(iter(data))
    layers = layers_of(exact, main)
    names = list(layers)
    keep = min(job["keep_float"], len(names))
    ranges = _ranges(exact, types, data)
    reference = _outputs(exact, main, data[main][:ROWS])

    def ratio(first: int) -> float:
        quantized = _write(exact, types, ranges, names[first : first + keep])
        return _signal_to_noise(reference, _outputs(quantized, main, data[main][:ROWS]))

    first = max(range(len(names) - keep + 1), key=ratio)
    Path(job["out"]).write_bytes(_write(exact, types, ranges, names[first : first + keep]))
    kept = ", ".join(dict.fromkeys(layers[name] for name in names[first : first + keep]))
    note = f"{keep} of {len(names)} operators stay float: {kept}"
    return {"versions": versions, "note": note}


def _outputs(file: bytes, signature: str, rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the outputs of a file for all rows."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=file, num_threads=os.cpu_count()).get_signature_runner(signature)
    results = [{name: value.copy() for name, value in runner(**row).items()} for row in rows]
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _signal_to_noise(reference: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> float:
    """Return the lowest ratio of the floating-point outputs."""
    exact = {name: value.astype(np.float64) for name, value in reference.items() if value.dtype.kind == "f"}
    tiny = np.finfo(np.float64).tiny
    ratios = [np.sum(a**2) / max(float(np.sum((a - values[name]) ** 2)), tiny) for name, a in exact.items()]
    return min(map(float, ratios), default=0.0)


def _write(exact: bytes, types: Types, ranges: Any, kept: list[str]) -> bytes:
    """Return the quantised file; inputs, outputs and operators with the results `kept` are as in the float file."""
    return bytes(_quantizer(exact, types, kept).quantize(ranges, enable_progress_report=False).quantized_model)


def _quantizer(exact: bytes, types: Types, kept: list[str]) -> Any:
    from litert_quantizer import quantizer, recipe
    from litert_quantizer.qtyping import TFLOperationName

    recipes = {
        ("int8", "int8"): recipe.static_wi8_ai8,
        ("int8", "int16"): recipe.static_wi8_ai16,
        ("int4", None): recipe.dynamic_wi4_afp32,
    }
    work = quantizer.Quantizer(exact, recipes[types]())
    for operation in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        work.update_quantization_recipe(".*", operation, algorithm_key="no_quantize")
    for name in kept:
        pattern = f"^{re.escape(name)};"
        work.update_quantization_recipe(pattern, TFLOperationName.ALL_SUPPORTED, algorithm_key="no_quantize")
    return work


def _ranges(exact: bytes, types: Types, data: dict[str, list[dict[str, Any]]]) -> Any:
    """Return the least and the largest value of every tensor; `Quantizer.calibrate` takes a moving average of them."""
    # With the average, int8 of a trained classifier of Fashion-MNIST has 21 dB instead of 35 dB.
    from litert_quantizer import calibrator, recipe_manager
    from litert_quantizer.utils.qsv_utils import min_max_update

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(_quantizer(exact, types, []).get_quantization_recipe())
    work = calibrator.Calibrator(exact, num_threads=os.cpu_count() or 1, qsv_update_func=min_max_update)
    work.calibrate(data, manager)
    return work.get_model_qsvs()


if __name__ == "__main__":
    from machine import answer_job

    answer_job(quantize)
