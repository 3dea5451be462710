"""Probabilities of the original Silero VAD: silero_vad.py MODEL.onnx SAMPLES.npy SPEECH.npy.

Source: PyPI silero-vad 6.2.3, `silero_vad.onnx` beside the file with the weights, step by step as its OnnxWrapper does.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

path, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(Path(path).with_name("silero_vad.onnx"))
speech = []
for samples in np.load(inputs):
    state, joined = np.zeros((2, 1, 128), np.float32), np.concatenate([np.zeros(64, np.float32), samples])[None]
    for start in range(0, len(samples), 512):
        chunk = {"input": joined[:, start : start + 576], "state": state, "sr": np.array(16000)}
        probability, state = session.run(None, chunk)
        speech.append(probability[0, 0])
np.save(outputs, np.reshape(speech, (-1, 64)))
