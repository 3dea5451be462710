"""Your own pictures: a folder with one sub-folder a class, or train/, valid/ and test/ with such sub-folders.

Sources:   data_dir, and nothing else.
Features:  {"image": JPEG, PNG, GIF or BMP bytes, "label": int64, "file": path below the folder}.
Splits:    "official" is the folder's own; what is missing is taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

from __future__ import annotations

import os

from pipelines.dataset import Dataset
from pipelines.errors import MISSING, DataError
from pipelines.images import class_folders

NAME = "image_folder"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    if data_dir is None:
        raise DataError(
            "image_folder is your own pictures: name them with --data-dir FOLDER, one sub-folder a class", MISSING
        )
    return class_folders.load(NAME, data_dir, cache_dir, split)
