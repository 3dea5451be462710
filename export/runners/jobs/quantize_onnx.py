"""Quantise a float ONNX file to int8 weights and activations, with QuantizeLinear and DequantizeLinear operators.

By onnxruntime's own quantizer: `python -P quantize_onnx.py JOB.json`, the job being
    {"float": file, "out": file, "result": file, "calibration": .npz of inputs by name, "batch": rows of a call}
"""

import importlib.metadata
from pathlib import Path
from typing import Any


def quantize(job: dict[str, Any]) -> dict[str, Any]:
    """Write the file; return {"versions", "error": why it failed or None}."""
    # Both are signed, weights by channel, which onnxruntime recommends for x86 with and without VNNI.
    import numpy as np
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Rows(quantization.CalibrationDataReader):
        """The calibration rows, a batch at a time."""

        def __init__(self) -> None:
            with np.load(job["calibration"], allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            count, size = len(next(iter(arrays.values()))), job["batch"]
            starts = range(0, count - count % size, size)
            self._batches = iter([{name: value[i : i + size] for name, value in arrays.items()} for i in starts])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._batches, None)

    report = {"versions": {"onnxruntime": importlib.metadata.version("onnxruntime")}, "error": None}
    prepared = Path(job["out"]).with_suffix(".prepared")
    try:
        quant_pre_process(job["float"], str(prepared), skip_symbolic_shape=True)
        options = {"quant_format": quantization.QuantFormat.QDQ, "per_channel": True}
        options |= dict.fromkeys(("activation_type", "weight_type"), quantization.QuantType.QInt8)
        quantization.quantize_static(str(prepared), job["out"], Rows(), **options)
    except Exception as error:
        report["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
    finally:
        prepared.unlink(missing_ok=True)
    return report


if __name__ == "__main__":
    from machine import answer_job

    answer_job(quantize)
