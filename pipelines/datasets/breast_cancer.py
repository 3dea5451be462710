"""Breast cancer, Wisconsin: 569 biopsies, 30 numbers of the nuclei of their cells, malignant or not.

Reference: Street, Wolberg, Mangasarian 1993, doi:10.1117/12.148698; UCI dataset 17.
Sources:   scikit-learn, which contains it.
Features:  30 numbers as float32 ("mean_radius", ...); malignant float32, 1 or 0.
Splits:    there are no official splits; "official" is 60/20/20 by a fixed shuffle, stratified by class. Percentages
           divide all rows in the same way.
Licence:   CC BY 4.0.
"""

import os

import numpy as np

from pipelines import splits, tabular
from pipelines.dataset import Dataset
from pipelines.sources import storage
from zoobase.errors import USAGE, DataError

NAME = "breast_cancer"
TARGET = "malignant"
CLASSES = ("benign", "malignant")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    from sklearn.datasets import load_breast_cancer

    policy = splits.percentages(split)
    if data_dir is not None:
        raise DataError(f"{NAME} is part of scikit-learn and reads no folder; omit --data-dir", USAGE)
    bunch = load_breast_cancer()
    source = "installed Python package scikit-learn"
    storage.log.info("%s: %s", NAME, source)
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    table = dict(zip(names, bunch.data.T.astype(np.float32), strict=True))
    table[TARGET] = (bunch.target == list(bunch.target_names).index(TARGET)).astype(np.float32)
    return tabular.two_classes(
        table,
        TARGET,
        CLASSES,
        policy,
        name=NAME,
        source=source,
        licence="CC-BY-4.0",
        homepage="https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic",
        split=split,
    )
