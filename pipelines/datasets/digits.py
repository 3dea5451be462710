"""1,797 handwritten digits of 13 people, 8x8 grey images: the part of UCI's optdigits in scikit-learn.

Reference: Alpaydin, Kaynak 1998, doi:10.24432/C50P49 (UCI dataset 80, its test part).
Sources:   scikit-learn, which contains it.
Features:  {"image": PNG bytes, "label": int64}; the 17 shades are spread over [0, 255].
Splits:    "official" is defined here: 70/15/15 in the order of the file, in which digits of one writer are adjacent, so
           that most writers of the test are not in training. Percentages divide all digits in that order.
Licence:   CC BY 4.0.
"""

import os

import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import mnist_family, storage
from zoobase.errors import USAGE, DataError

NAME = "digits"
OFFICIAL = (70, 15, 15)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    from sklearn.datasets import load_digits

    policy = splits.percentages(split) or OFFICIAL
    if data_dir is not None:
        raise DataError(f"{NAME} is part of scikit-learn and reads no folder; omit --data-dir", USAGE)
    bunch = load_digits()
    source = "installed Python package scikit-learn"
    storage.log.info("%s: %s", NAME, source)
    shades = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    rows = np.split(np.arange(len(shades)), splits.bounds(policy, len(shades)))
    return mnist_family.of_arrays(
        shades,
        bunch.target,
        dict(zip(("train", "validation", "test"), rows, strict=True)),
        name=NAME,
        source=source,
        licence="CC-BY-4.0",
        homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        split=split,
    )
