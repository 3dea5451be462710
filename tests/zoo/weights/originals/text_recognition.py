"""Logits of the original in onnxruntime: text_recognition.py MODEL.onnx PIXELS.npy LOGITS.npy, before the softmax."""

import sys

import numpy as np
import onnx
import onnxruntime

path, inputs, outputs = sys.argv[1:]
model = onnx.load(path)
last = model.graph.node[-1]
assert last.op_type == "Softmax"
model.graph.output[0].name = last.input[0]
del model.graph.node[-1]
session = onnxruntime.InferenceSession(model.SerializeToString())
rows = []
for pixels in np.load(inputs):  # RGB; the original takes BGR in [-1, 1]
    values = (pixels[None, ..., ::-1].astype(np.float32) / 255 - 0.5) / 0.5
    rows.append(session.run(None, {"x": np.ascontiguousarray(values.transpose(0, 3, 1, 2))})[0][0])
np.save(outputs, np.stack(rows))
