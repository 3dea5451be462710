"""onnxruntime 1.17.3 computes QuantizeLinear differently.

The first operator that differs is QuantizeLinear after QuantizeLinear, DequantizeLinear, Conv
(StatefulPartitionedCall/mnist_cnn_1/block0_0_relu_1/Relu), by 1 steps.

In an environment with onnxruntime==1.17.3 and numpy, run this file.
"""

from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
MODEL = str(HERE / "onnxruntime-1_17_3-mnist_cnn_float_bias.onnx")
stored = np.load(HERE / "onnxruntime-1_17_3-mnist_cnn_float_bias.npz")
inputs = {name[len("input ") :]: stored[name] for name in stored.files if name.startswith("input ")}
expected = stored["expected"]
session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
answer = session.run(None, inputs)[0]
difference = np.max(np.abs(answer.astype(float) - expected.astype(float)))
print(f"largest difference from what is expected: {difference:.3g}")
