"""Logits of the original in LiteRT: person_segmentation.py MODEL.tflite PIXELS.npy LOGITS.npy.

Source: npm @mediapipe/selfie_segmentation 0.1.1675465747. Its last convolution is an operator of MediaPipe's own, which
LiteRT does not have; TRANSPOSE_CONV and a bias take its place, with the same constants.
"""

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

path, inputs, outputs = sys.argv[1:]
model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
graph = model.subgraphs[0]
(own,) = (i for i, code in enumerate(model.operatorCodes) if code.customCode == b"Convolution2DTransposeBias")
(last,) = (operator for operator in graph.operators if operator.opcodeIndex == own)
code = model.operatorCodes[own] = schema.OperatorCodeT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
code.version = 3
shape, size = schema.TensorT(), schema.BufferT()
size.data = np.frombuffer(np.array([1, 256, 256, 1], "<i4").tobytes(), np.uint8)
shape.shape, shape.type, shape.buffer = np.array([4], np.int32), schema.TensorType.INT32, len(model.buffers)
graph.tensors.append(shape)
model.buffers.append(size)
x, kernel, bias = last.inputs
last.inputs, last.customOptions = np.array([len(graph.tensors) - 1, kernel, x, bias], np.int32), None
last.builtinOptions, last.builtinOptionsType = (
    schema.TransposeConvOptionsT(),
    schema.BuiltinOptions.TransposeConvOptions,
)
last.builtinOptions.padding, last.builtinOptions.strideH, last.builtinOptions.strideW = schema.Padding.SAME, 2, 2
graph.outputs = last.outputs  # before the sigmoid
builder = flatbuffers.Builder()
builder.Finish(model.Pack(builder), b"TFL3")
interpreter = Interpreter(model_content=bytes(builder.Output()))
interpreter.allocate_tensors()
(image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
rows = []
for pixels in np.load(inputs):
    interpreter.set_tensor(image["index"], pixels[None].astype(np.float32) / 255)
    interpreter.invoke()
    rows.append(interpreter.get_tensor(logits["index"])[0, ..., 0].copy())
np.save(outputs, np.stack(rows))
