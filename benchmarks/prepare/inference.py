"""Write fashion_mnist with its shipped weights as a bundle with int8 and, if tf2onnx is installed, ONNX."""

import importlib.util
import os
import shutil
from pathlib import Path

from zoo.core import environment

environment.prepare()

import numpy as np  # noqa: E402 - Keras is configured first

import zoo  # noqa: E402
from benchmarks.prepare import fashion_mnist  # noqa: E402 - writes the arrays
from export import Quantization, export_model  # noqa: E402
from pipelines import Info  # noqa: E402
from zoo import weights  # noqa: E402

out = Path(os.environ["BENCHMARK_DATA"]) / "inference"
shutil.rmtree(out, ignore_errors=True)
images = np.load(fashion_mnist.target)["train_images"][:500].astype(np.float32)
model = zoo.build("fashion_mnist", weights="default")
info = Info.from_json(weights.description("fashion_mnist")["info"])
onnx = all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime"))
formats = ("keras", "saved_model", "tflite") + (("onnx",) if onnx else ())
contract = zoo.get_spec("fashion_mnist").task.contract(model, info)
export_model(model, out, contract=contract, formats=formats, quantization=Quantization(("int8",), {"image": images}))
