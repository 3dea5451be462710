"""The weights of Magika by Google, from the ONNX file of its Python package (Apache-2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Info
from pipelines.sources.packages import Wheel
from zoo.core import registry
from zoo.weights import onnx
from zoo.weights.packaged import PackagedWeights
from zoobase.errors import ZooError

if TYPE_CHECKING:
    import keras

_MODEL = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2"
_BYTES = ("jax2tf_get_logits_/Const:0", f"{_MODEL}/Dense_0/Reshape:0")  # vectors, and what is added to each
_NAMES = {  # variable -> name in the file
    "position_norm/gamma": f"{_MODEL}/LayerNorm_0/Reshape_2:0",
    "position_norm/beta": f"{_MODEL}/LayerNorm_0/Reshape_3:0",
    "conv/kernel": f"{_MODEL}/Conv_0/transpose_3:0",
    "conv/bias": "const_fold_opt__209",
    "norm/gamma": f"{_MODEL}/LayerNorm_1/Reshape_2:0",
    "norm/beta": f"{_MODEL}/LayerNorm_1/Reshape_3:0",
    "logits/kernel": "jax2tf_get_logits_/Const_24:0",
    "logits/bias": f"{_MODEL}/Dense_1/Reshape:0",
}


def assign(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Assign the values of the original to the model, each once; small ones are constants of its formulas.

    Raises:
        ZooError: A value is missing, has another shape or is not used.
    """
    remaining = {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32 and tensor.size > 1}
    for variable in model.weights:
        path, shape = variable.path, tuple(variable.shape)
        names = _BYTES if path == "bytes/embeddings" else (_NAMES[path],)
        parts = [remaining.pop(name, None) for name in names]
        value = None if any(part is None for part in parts) else sum(parts)
        if value is not None and path == "conv/kernel":
            value = value[..., 0].transpose(2, 1, 0)  # (filters, channels, width, 1) -> (width, channels, filters)
        if path == "bytes/embeddings" and value is not None:
            value = value[0]  # of (1, 257, 64)
        if value is None or value.size != np.prod(shape):
            raise ZooError(f"the weights of magika have no {names[0]} of the size of {shape}")
        variable.assign(value.reshape(shape))
    if remaining:
        raise ZooError(f"the weights of magika have more values than the model: {next(iter(remaining))}")


def _convert(file: Path) -> keras.Model:
    model = registry.get_builder("magika")()
    assign(model, onnx.read(file))
    return model


def _info(file: Path) -> Info:
    types = json.loads((file.parent / "config.min.json").read_text(encoding="utf-8"))["target_labels_space"]
    return Info(
        "magika",
        MAGIKA.source,
        MAGIKA.licence,
        "https://github.com/google/magika",
        {"content": "string, bytes of a file", "label": "int64"},
        {},
        class_names=tuple(types),
    )


MAGIKA = PackagedWeights(
    "magika",
    Wheel(
        "magika",
        "1.0.3",
        "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803",
        "magika/models/standard_v3_3",
        platform="any",  # without the program of the command line
    ),
    "model.onnx",
    "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    3_163_737,
    "Apache-2.0",
    "about 100 million files of 214 types",
    _convert,
    others={"config.min.json": "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db"},
    info=_info,
)
