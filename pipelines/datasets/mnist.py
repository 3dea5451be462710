"""MNIST: 70,000 handwritten digits, 28x28 grey pictures, ten classes.

Reference: LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791. Licence: CC BY-SA 3.0.
Sources:   data_dir (the four .gz idx files, or a TFDS folder), the prepared cache, TFDS download. No package index
           carries it: without the internet `digits` takes its place, of the same kind, which scikit-learn brings.
Features:  {"image": PNG bytes, "label": int64}.
Splits:    "official" keeps the official test set and takes the last twelfth of train (5,000) for validation.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.datasets import digits
from pipelines.errors import NotHere
from pipelines.sources import search, storage
from pipelines.sources.mnist_family import Family

FAMILY = Family("mnist", "CC-BY-SA-3.0")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    splits.percentages(split)  # refused before anything is prepared
    cache = storage.cache_root(cache_dir) / FAMILY.name
    if data_dir is not None:
        source, builder = FAMILY.user(Path(data_dir).expanduser().absolute(), cache)
        storage.log.info("%s: %s", FAMILY.name, source)
        return FAMILY.dataset(builder, source, split, cache)
    ready = cache / "official"
    if not storage.whole(ready):
        try:
            FAMILY.download(ready).look()
        except NotHere as reason:
            storage.log.info("%s: TFDS download (%s), so that %s takes its place", FAMILY.name, reason, digits.NAME)
            return digits.load(None, cache_dir, split)
    source, builder = search.prepared_once(
        FAMILY.name, {ready: FAMILY.genuine}, lambda: [FAMILY.download(ready)], f"--set data={digits.NAME}"
    )
    return FAMILY.dataset(builder, source, split, cache)
