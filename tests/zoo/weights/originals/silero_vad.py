"""Probabilities of the original Silero VAD: silero_vad.py MODEL.onnx SAMPLES.npy SPEECH.npy [double].

Source: PyPI silero-vad 6.2.3, `silero_vad.onnx` beside the file with the weights, step by step as its OnnxWrapper does;
`double` is the graph of the file with the weights in double precision, by the reference implementation of ONNX.
"""

import sys
from pathlib import Path

import numpy as np

path, inputs, outputs, *precision = sys.argv[1:]
dtype = np.float64 if precision else np.float32


def windows(samples):
    """Yield (64 samples before, 512 samples), (1, 576)."""
    joined = np.concatenate([np.zeros(64), samples]).astype(dtype)
    for start in range(0, len(samples), 512):
        yield joined[None, start : start + 576]


def in_double(samples):
    zeros = np.zeros((1, 1, 128))
    return session.run(None, {"input": np.concatenate(list(windows(samples))), "h": zeros, "c": zeros})[0].ravel()


def in_steps(samples):
    state, speech = np.zeros((2, 1, 128), np.float32), []
    for window in windows(samples):
        probability, state = session.run(None, {"input": window, "state": state, "sr": np.array(16000)})
        speech.append(probability[0, 0])
    return speech


if precision:
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(path)
    for value in model.graph.initializer:
        value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value).astype(np.float64), value.name))
    session = ReferenceEvaluator(model)
else:
    import onnxruntime

    session = onnxruntime.InferenceSession(Path(path).with_name("silero_vad.onnx"))
np.save(outputs, np.array([(in_double if precision else in_steps)(samples) for samples in np.load(inputs)]))
