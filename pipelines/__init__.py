"""Datasets and input pipelines. Importing this package, and listing datasets, does not import TensorFlow.

data = pipelines.load("fashion_mnist")
feed = pipelines.feed(data.train, decode=decode, augment=pipelines.augment.policy("flip_shift"))
model.fit(feed.epochs(128, seed=0, stop=10), steps_per_epoch=feed.steps(128), epochs=10)
"""

from __future__ import annotations

import os
import sys

# `python -m` would import a numpy.py of the current folder: that folder goes, unless we ourselves are imported from it
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    if os.path.realpath(sys.path[0] or ".") != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
        del sys.path[0]

import importlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commandline import suggestion
from pipelines.dataset import Dataset, Info
from pipelines.errors import USAGE, DataError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads both when it is imported, which is later
if platform.machine().lower() in ("x86_64", "amd64") and "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # half as fast where TensorFlow disables it by default

if TYPE_CHECKING:
    from pipelines import augment, images, text
    from pipelines.feeding import Feed, feed
    from pipelines.pairs import decoded

__all__ = [
    "DataError",
    "Dataset",
    "Feed",
    "Info",
    "augment",
    "decoded",
    "feed",
    "images",
    "list_datasets",
    "load",
    "text",
]


def list_datasets() -> list[str]:
    """Return the names of all datasets in alphabetical order.

    Example:
        >>> "fashion_mnist" in list_datasets()
        True
    """
    return sorted(path.stem for path in (Path(__file__).parent / "datasets").glob("[a-z]*.py"))


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    split: str = "official",
) -> Dataset:
    """Find a dataset, prepare it once, and return its splits.

    Args:
        name: One of `list_datasets()`.
        data_dir: The user's own data, in a format that the dataset's file documents; no other source is then tried.
        cache_dir: Folder of prepared data; by default $ZOO_CACHE, else keras-proof-zoo in the user's cache.
        split: "official", or percentages of the official training set for train, validation and test: "60/20/20".

    Returns:
        Finite, ordered, deterministic splits of feature dicts, with their metadata.

    Raises:
        DataError: The name or the split is unknown, no source has the data, or the data is damaged.

    Example:
        >>> data = load("digits")
        >>> data.info.counts
        {'train': 1257, 'validation': 270, 'test': 270}
        >>> sorted(data.train.element_spec)
        ['image', 'label']
    """
    if name not in list_datasets():
        raise DataError(f"unknown dataset {name!r}; {suggestion(name, list_datasets())}", USAGE)
    return importlib.import_module(f"pipelines.datasets.{name}").load(data_dir, cache_dir, split)


def __getattr__(name: str) -> Any:
    """Import names that need TensorFlow on first access (PEP 562)."""
    if name == "decoded":
        return importlib.import_module("pipelines.pairs").decoded
    if name in ("feed", "Feed"):
        return getattr(importlib.import_module("pipelines.feeding"), name)
    if name in ("augment", "images", "text"):
        return importlib.import_module(f"pipelines.{name}")
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
