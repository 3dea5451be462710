"""MNIST: 70,000 handwritten digits, 28x28 grey images, ten classes.

Reference: LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791.
Sources:   data_dir (the four .gz idx files, a TFDS folder, or your own images, one sub-folder per class), the prepared
           cache, TFDS download. If all fail, 5,000 of the digits, `mnist_5k`, are used instead; if those are not
           available either, `digits` of scikit-learn.
Features:  {"image": PNG bytes, "label": int64}.
Splits:    "official" keeps the official test set and takes the last twelfth of train (5,000) for validation.
Licence:   CC BY-SA 3.0.
"""

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.datasets import digits, mnist_5k
from pipelines.images.tfds_images import load_classes
from pipelines.sources import search, storage
from pipelines.sources.mnist_family import Family
from zoobase.errors import DataError, SourceUnavailable
from zoobase.files import cache_root

FAMILY = Family("mnist", "CC-BY-SA-3.0")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None and FAMILY.has_classes(data_dir):
        return load_classes(data_dir, cache_dir, split)
    splits.percentages(split)  # raises before anything is prepared
    cache = cache_root(cache_dir) / FAMILY.name
    if data_dir is not None:
        source, builder = FAMILY.user(Path(data_dir).expanduser().absolute(), cache)
        storage.log.info("%s: %s", FAMILY.name, source)
        return FAMILY.dataset(builder, source, split, cache)
    ready = cache / "official"
    if not storage.is_complete(ready):
        try:
            FAMILY.download(ready).check()
        except SourceUnavailable as reason:
            storage.log.info("%s: TFDS download (%s), so %s is used instead", FAMILY.name, reason, mnist_5k.NAME)
            try:
                return mnist_5k.load(None, cache_dir, split)
            except DataError as reason:
                storage.log.info("%s: %s, so %s is used instead", FAMILY.name, reason, digits.NAME)
                return digits.load(None, cache_dir, split)
    source, builder = search.load_prepared(
        FAMILY.name, {ready: FAMILY.official_builder}, lambda: [FAMILY.download(ready)], f"--set data={digits.NAME}"
    )
    return FAMILY.dataset(builder, source, split, cache)
