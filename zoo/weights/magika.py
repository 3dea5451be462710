"""The weights of Magika by Google, from the ONNX file of its Python package (Apache-2.0)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import onnx

_MODEL = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2"
_BYTES = ("jax2tf_get_logits_/Const:0", f"{_MODEL}/Dense_0/Reshape:0")  # vectors, and what is added to each
_NAMES = {  # variable -> name in the file
    "bytes/embeddings": _BYTES[0],
    "position_norm/gamma": f"{_MODEL}/LayerNorm_0/Reshape_2:0",
    "position_norm/beta": f"{_MODEL}/LayerNorm_0/Reshape_3:0",
    "conv/kernel": f"{_MODEL}/Conv_0/transpose_3:0",
    "conv/bias": "const_fold_opt__209",
    "norm/gamma": f"{_MODEL}/LayerNorm_1/Reshape_2:0",
    "norm/beta": f"{_MODEL}/LayerNorm_1/Reshape_3:0",
    "logits/kernel": "jax2tf_get_logits_/Const_24:0",
    "logits/bias": f"{_MODEL}/Dense_1/Reshape:0",
}


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values of the file by name, as the model has them."""
    return of_model(onnx.read(file))


def of_model(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors without the constants of its formulas, which are small, and with the sum of two."""
    values = {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32 and tensor.size > 1}
    if all(name in values for name in _BYTES):
        values[_BYTES[0]] = sum(values.pop(name) for name in _BYTES)[0]  # of (1, 257, 64)
    return values


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if path == "conv/kernel":
        tensor = tensor[..., 0].transpose(2, 1, 0)  # (filters, channels, width, 1) -> (width, channels, filters)
    return tensor.reshape(shape)


def _known(file: Path) -> dict[str, Any]:
    types = json.loads((file.parent / "config.min.json").read_text(encoding="utf-8"))["target_labels_space"]
    return {"class_names": tuple(types)}


MAGIKA = PackagedWeights.pinned(
    "magika",
    tensors=read,
    tensor_name=_NAMES.__getitem__,
    arrange=_arrange,
    features={"content": "string, bytes of a file", "label": "int64"},
    known=_known,
)
