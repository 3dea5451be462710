"""Datasets and input pipelines. Importing this package, and listing datasets, does not import TensorFlow.

data = pipelines.load("fashion_mnist")  # or from_arrays(x, y), from_tfds(name)
feed = pipelines.feed(data.train, decode=decode, augment=pipelines.augment.policy("flip_shift"))
model.fit(feed.epochs(128, seed=0, stop=10), steps_per_epoch=feed.steps(128), epochs=10)
"""

from __future__ import annotations

import os
import sys

# `python -m` would import a numpy.py of the current folder: that folder goes, unless we ourselves are imported from it
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    if (
        os.path.realpath(sys.path[0] or ".")
        == os.path.realpath(".")
        != os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    ):  # not a folder of PYTHONPATH, which is the first one after another of our packages has removed the current one
        del sys.path[0]

import importlib
import platform
from typing import TYPE_CHECKING, Any

from pipelines.catalogue import list_datasets, load
from pipelines.dataset import Dataset, Info
from pipelines.errors import DataError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads both when it is imported, which is later
if platform.machine().lower() in ("x86_64", "amd64") and "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # half as fast where TensorFlow disables it by default

if TYPE_CHECKING:
    from pipelines import augment, images, text
    from pipelines.adapters.arrays import from_arrays
    from pipelines.adapters.huggingface import from_huggingface
    from pipelines.adapters.tensorflow_datasets import from_tfds
    from pipelines.feeding import Feed, feed
    from pipelines.pairs import decoded
    from pipelines.shards.writing import write_shards

__all__ = [
    "DataError",
    "Dataset",
    "Feed",
    "Info",
    "augment",
    "decoded",
    "feed",
    "from_arrays",
    "from_huggingface",
    "from_tfds",
    "images",
    "list_datasets",
    "load",
    "text",
    "write_shards",
]
_LAZY = {  # names whose modules import NumPy or TensorFlow, or libraries on it
    "decoded": "pipelines.pairs",
    "feed": "pipelines.feeding",
    "Feed": "pipelines.feeding",
    "from_arrays": "pipelines.adapters.arrays",
    "from_huggingface": "pipelines.adapters.huggingface",
    "from_tfds": "pipelines.adapters.tensorflow_datasets",
    "write_shards": "pipelines.shards.writing",
}


def __getattr__(name: str) -> Any:
    """Import names that need TensorFlow on first access (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in ("augment", "images", "text"):
        return importlib.import_module(f"pipelines.{name}")
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
