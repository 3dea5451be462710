"""Admission to graduate school by grades and by the rank of the previous school.

Reference: UCLA, https://stats.oarc.ucla.edu/r/dae/logit-regression/ (binary.csv).
Sources:   data_dir (a CSV with the columns admit, gre, gpa, rank, or a folder with binary.csv). Its licence is not
           stated, so it is not distributed: without data_dir this is `breast_cancer`, a similar table of scikit-learn.
Features:  gre and gpa float32; rank string, "1" to "4", a category; admit float32, 1 or 0.
Splits:    as in `breast_cancer`: 60/20/20 by a fixed shuffle, stratified.
Licence:   that of the table is not stated; `breast_cancer` is CC BY 4.0.
"""

import os
from pathlib import Path

import numpy as np

from pipelines import splits, tabular
from pipelines.dataset import OWN, Dataset
from pipelines.datasets import breast_cancer
from pipelines.sources import storage
from zoobase.errors import DataError

NAME = "admissions"
COLUMNS = ("admit", "gre", "gpa", "rank")
TARGET = "admit"
CLASSES = ("rejected", "admitted")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is None:
        storage.log.info("%s: no CSV is given with --data-dir, so %s is used instead", NAME, breast_cancer.NAME)
        return breast_cancer.load(None, cache_dir, split)
    policy = splits.percentages(split)
    path = Path(data_dir).expanduser()
    path = path / "binary.csv" if path.is_dir() else path
    source = f"your own file {path}"
    storage.log.info("%s: %s", NAME, source)
    return tabular.two_classes(
        _read(path),
        TARGET,
        CLASSES,
        policy,
        name=NAME,
        source=source,
        licence=OWN,
        homepage="https://stats.oarc.ucla.edu/r/dae/logit-regression/",
        split=split,
    )


def _read(path: Path) -> tabular.Table:
    raw = tabular.read_csv(path, COLUMNS)
    admit = tabular.numbers(raw["admit"], "admit", path)
    invalid = np.flatnonzero((admit != 0) & (admit != 1))
    if invalid.size:
        raise DataError(f"{path}, row {invalid[0] + 1}: admit is {raw['admit'][invalid[0]]!r}, not 0 or 1")
    rank = tabular.numbers(raw["rank"], "rank", path)
    return {
        "gre": tabular.numbers(raw["gre"], "gre", path),
        "gpa": tabular.numbers(raw["gpa"], "gpa", path),
        "rank": np.array([f"{value:g}" for value in rank], object),  # some copies of the file write 3.0
        TARGET: admit,
    }
