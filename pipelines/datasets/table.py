"""A table of your own: one CSV, TSV or Parquet file, whose columns are read as text and typed by the task.

Sources:   data_dir (a .csv or .tsv file in UTF-8, or a .parquet file; required).
Features:  every column as a string, stripped; an empty cell is "". Names keep letters, digits and underscores only.
Splits:    "official" is 60/20/20 by a fixed shuffle of the rows; percentages divide the same shuffle.
Licence:   yours.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import splits, tabular
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from pipelines.tabular import plain_name
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import sha256

NAME = "table"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is None:
        raise DataError("a table is a file of your own: give a CSV file with --data-dir my.csv", MISSING)
    if splits.BY in split:
        raise DataError(f'split "{split}": of a table, set task.groups=COLUMN or task.time=COLUMN', USAGE)
    path = Path(data_dir).expanduser()
    raw = tabular.read_table(path)
    cells = {plain_name(name): np.array(column, object) for name, column in raw.items()}
    if len(cells) < len(raw):
        raise DataError(f"{path}: two columns have the same name but for punctuation: rename one")
    storage.log.info("%s: your own file %s", NAME, path)
    about = {"name": NAME, "source": f"your own file {path}", "licence": OWN, "sha256": {path.name: sha256(path)}}
    return of_cells(cells, split, **about)


def of_cells(cells: tabular.Table, split: str, **about: Any) -> Dataset:
    """Return columns of strings, divided by a fixed shuffle of the rows, as a dataset."""
    policy, count = splits.percentages(split) or tabular.OFFICIAL, len(next(iter(cells.values())))
    order = np.random.default_rng(0).permutation(count)
    parts = dict(zip(("train", "validation", "test"), np.split(order, splits.bounds(policy, count)), strict=True))
    info = Info(
        **about,
        homepage="",
        features=dict.fromkeys(cells, "string"),
        counts={name: len(rows) for name, rows in parts.items()},
        statistics={"cells": list(cells)},
        split=split,
    )
    return Dataset(**{n: tabular.dataset(tabular.take(cells, np.sort(rows))) for n, rows in parts.items()}, info=info)
