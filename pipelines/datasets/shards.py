"""Any dataset that `python -m pipelines shard` has written as TFRecord files, on this machine or in a store.

Sources:   data_dir only: a folder, or a URL of a file system of TensorFlow, such as gs://BUCKET/FOLDER.
Features:  those of the dataset from which they were written, whose metadata it has.
Splits:    those that were written.
Licence:   that of the dataset.
"""

import os

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.shards import reading
from zoobase.errors import MISSING, USAGE, DataError


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is None:
        raise DataError(
            "shards reads a folder that python -m pipelines shard NAME -o FOLDER has written: set --data-dir FOLDER",
            MISSING,
        )
    splits.percentages(split)
    dataset = reading.read(data_dir, cache_dir)
    if split not in ("official", dataset.info.split):
        raise DataError(
            f"{data_dir} was written with the split {dataset.info.split}, not {split}: write the shards again with "
            f"--split {split}",
            USAGE,
        )
    return dataset
