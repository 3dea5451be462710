"""Your own images: a folder with one sub-folder per class, or train/, valid/ and test/ with such sub-folders.

Sources:   data_dir only.
Features:  {"image": JPEG, PNG, GIF or BMP bytes, "label": int64, "file": path below the folder}.
Splits:    "official" is the folder's own; missing splits are taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

import os

from pipelines.dataset import Dataset
from pipelines.images import class_folders
from zoobase.errors import MISSING, DataError

NAME = "image_folder"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is None:
        raise DataError("image_folder reads your own images: set --data-dir FOLDER, one sub-folder per class", MISSING)
    return class_folders.load(NAME, data_dir, cache_dir, split)
