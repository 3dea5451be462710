"""Probabilities of the original Magika: magika.py MODEL.onnx TOKENS.npy PROBABILITIES.npy float|double.

Source: PyPI magika 1.0.3. `float` is its onnxruntime; `double` the same graph in double precision, by the reference
implementation of ONNX.
"""

import sys

import numpy as np
import onnx

path, tokens, probabilities, precision = sys.argv[1:]
inputs = np.load(tokens)
if precision == "float":
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
else:
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class GlobalMaxPool(OpRun):
        """As the standard has it: the library's drops the axes."""

        op_domain = ""

        def _run(self, x):
            return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)

    model = onnx.load(path)
    for value in model.graph.initializer:
        if value.data_type == onnx.TensorProto.FLOAT:
            value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value).astype(np.float64), value.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = onnx.TensorProto.DOUBLE
    session = ReferenceEvaluator(model, new_ops=[GlobalMaxPool])
parts = [session.run(None, {"bytes": inputs[i : i + 20]})[0] for i in range(0, len(inputs), 20)]
np.save(probabilities, np.concatenate(parts))
