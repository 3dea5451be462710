"""The weights of Silero VAD 6, from an ONNX file of its Python package (MIT).

The safetensors file of the package holds other values, whose probabilities differ from those of its ONNX files by 0.01.
"""

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import onnx

_NAMES = {
    "fourier/kernel": "stft.forward_basis_buffer",
    "lstm/lstm_cell/kernel": "onnx::LSTM_209",
    "lstm/lstm_cell/recurrent_kernel": "onnx::LSTM_210",
    "lstm/lstm_cell/bias": "onnx::LSTM_211",
    "classifier/kernel": "output.weight",
    "classifier/bias": "output.bias",
}
_GATES = (0, 2, 3, 1)  # input, output, forget, cell of ONNX in the order of Keras: input, forget, cell, output


def _name(path: str) -> str:
    """Return the name of a variable in the file: conv1/kernel -> encoder.0.weight."""
    layer, _, part = path.rpartition("/")
    return _NAMES.get(path) or f"encoder.{int(layer.removeprefix('conv')) - 1}.{part.replace('kernel', 'weight')}"


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if path.startswith("lstm"):  # (1, 4 * units, inputs), and two biases (1, 8 * units), which are added
        gates = tensor.reshape(-1, 4, shape[-1] // 4, *tensor.shape[2:]).sum(axis=0)
        tensor = np.concatenate([gates[i] for i in _GATES])
    return tensor.transpose(*range(tensor.ndim)[::-1]).reshape(shape)  # (out, in, width) -> (1, width, in, out)


SILERO = PackagedWeights.pinned(
    "silero_vad",
    tensors=onnx.read,
    tensor_name=_name,
    arrange=_arrange,
    features={"samples": "int16 at 16 kHz", "speech": "float32"},
)
