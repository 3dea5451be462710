"""OpenVINO computes the remainder of int32 in float32: wrong beyond 2**24 (pip install openvino numpy)."""

import numpy as np
import openvino
from openvino import opset13

a = opset13.parameter([4], np.int32, name="a")
b = opset13.parameter([4], np.int32, name="b")
model = openvino.Model([opset13.floor_mod(a, b)], [a, b])
exact = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
numbers, divisors = np.array([5, 2**24 + 1, 79_190_007, 158_380_013], np.int32), np.full(4, 20_011, np.int32)
answer = openvino.Core().compile_model(model, "CPU", exact)([numbers, divisors])[0]
print(f"OpenVINO {openvino.__version__}: {answer}; NumPy: {numbers % divisors}")
