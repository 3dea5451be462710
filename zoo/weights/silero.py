"""The weights of Silero VAD 6, from an ONNX file of its Python package (MIT).

The safetensors file of the package holds other values, whose probabilities differ from those of its ONNX files by 0.01.
"""

import numpy as np

from pipelines.sources.packages import Wheel
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


SILERO = PackagedWeights(
    name="silero_vad",
    wheel=Wheel(
        "silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", "silero_vad/data"
    ),
    file="silero_vad_16k_sequence.onnx",
    sha256="9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    size=1_246_165,
    licence="MIT",
    trained_on="speech of more than 6,000 languages, by its makers",
    tensors=onnx.read,
    tensor_name=_name,
    arrange=_arrange,
    homepage="https://github.com/snakers4/silero-vad",
    features={"samples": "int16 at 16 kHz", "speech": "float32"},
)
