"""Datasets and input pipelines. Importing this package, and listing datasets, does not import TensorFlow.

data = pipelines.load("fashion_mnist")  # or from_arrays(x, y), from_tfds(name)
feed = pipelines.feed(data.train, decode=decode, augment=pipelines.augment.policy("flip,shift"))
model.fit(feed.epochs(128, seed=0, stop=10), steps_per_epoch=feed.steps(128), epochs=10)
"""

from __future__ import annotations

from zoobase.importing import lazy_attributes  # isort: skip  (first: zoobase removes the current folder from sys.path)

import os
import platform
import sys
from typing import TYPE_CHECKING

from pipelines.catalogue import list_datasets as list_datasets
from pipelines.catalogue import load as load
from pipelines.dataset import Dataset as Dataset
from pipelines.dataset import Info as Info
from zoobase.errors import DataError as DataError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads both when it is imported, which is later
if platform.machine().lower() in ("x86_64", "amd64") and "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # half as fast where TensorFlow disables it by default

if TYPE_CHECKING:
    from pipelines import augment as augment
    from pipelines import images as images
    from pipelines import text as text
    from pipelines.adapters.arrays import from_arrays as from_arrays
    from pipelines.adapters.huggingface import from_huggingface as from_huggingface
    from pipelines.adapters.tensorflow_datasets import from_tfds as from_tfds
    from pipelines.feeding import Feed as Feed
    from pipelines.feeding import feed as feed
    from pipelines.pairs import decoded as decoded
    from pipelines.shards.writing import write_shards as write_shards

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__, __dir__ = _lazy, _lazy.names
    __all__ = sorted(["DataError", "Dataset", "Info", "list_datasets", "load", *_lazy.modules])
