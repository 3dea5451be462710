"""Convert a SavedModel to TFLite with builtin operators only, in a process of its own: converters have segfaults.

`python -P convert_tflite.py JOB.json`, the job being
    {"saved_model": folder, "out": file, "result": file, "signatures": [names], "memory": bytes or null,
     "weights": null for float32, "float16" or "int8", "activations": null for float or "int8",
     "calibration": {signature: .npz of inputs by name}}
Without calibration, integers are those of a graph with fake quantization.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def convert(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"error": why it failed or None, "flex": operators without a builtin, "versions": ...}."""
    import tensorflow as tf

    report: dict[str, Any] = {"versions": {"tensorflow": tf.__version__}, "error": None, "flex": [], "note": None}
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS
    integers = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    choices = [[integers], [builtins, integers]] if job["activations"] and job["calibration"] else [[builtins]]
    for operators in choices:
        try:
            converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"], signature_keys=job["signatures"])
            _quantize(converter, job)
            converter.target_spec.supported_ops = operators
            data = converter.convert()
        except Exception as error:
            text = str(error)
            report["error"] = f"{type(error).__name__}: {' '.join(text.split())}"[:400]
            report["flex"] = sorted(
                set(re.findall(r"tf\.(\w+)(?:\(|\\?\s*op)", text)) | set(re.findall(r"Flex\w+", text))
            )
            continue
        Path(job["out"]).parent.mkdir(exist_ok=True)
        Path(job["out"]).write_bytes(data)
        note = "some operators have no integer form and stay float" if operators is not choices[0] else None
        return report | {"error": None, "flex": [], "note": note}
    return report


def _quantize(converter: Any, job: dict[str, Any]) -> None:
    """Set the converter to the precision of the job; inputs and outputs stay float, as the contract declares them."""
    import tensorflow as tf

    if not job["weights"]:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if job["calibration"]:  # else the graph has fake quantization, with the ranges of a training
        converter.representative_dataset = lambda: _rows(job["calibration"])


def _rows(calibration: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (signature, inputs) one row at a time."""
    import numpy as np

    for signature, file in calibration.items():
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for i in range(len(next(iter(arrays.values())))):
            yield signature, {name: value[i : i + 1] for name, value in arrays.items()}


if __name__ == "__main__":
    from machine import answer_job

    answer_job(convert)
