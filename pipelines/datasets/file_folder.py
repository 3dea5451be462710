"""Your own files of any type: a folder with one sub-folder per type.

Sources:   data_dir only.
Features:  {"content": the bytes of the file, of a long one its first and last 4,096, "label": int64}.
Splits:    70/15/15, or percentages, by the hash of the bytes: equal files are in one split.
Licence:   yours.
"""

import os
from pathlib import Path

import numpy as np

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from zoobase.errors import MISSING, DataError

NAME = "file_folder"
BLOCK = 4096  # bytes of the start, and of the end, that are read


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    from pipelines.text import labelled  # imports TensorFlow, and a prediction in LiteRT needs `read` only

    if data_dir is None:
        raise DataError("file_folder reads your own files: set --data-dir FOLDER, one sub-folder per type", MISSING)
    folder = Path(data_dir).expanduser()
    files = [path for path in sorted(folder.glob("*/*")) if path.is_file() and not path.name.startswith(".")]
    for file in files:
        storage.check_name(file)
    classes = sorted({file.parent.name for file in files})
    if len(classes) < 2:
        raise DataError(f"{folder} has no files of two types: give it a folder for each type", MISSING)
    rows = [(read(file), file.parent.name) for file in files]
    parts = labelled.divide([(row[0].hex(), row[1]) for row in rows], splits.percentages(split) or (70, 15, 15))
    label = {name: i for i, name in enumerate(classes)}
    info = Info(
        name=NAME,
        source=f"your own files in {data_dir}",
        licence=OWN,
        homepage="",
        features={"content": "string, bytes of a file", "label": "int64"},
        counts={name: len(part) for name, part in parts.items()},
        class_names=tuple(classes),
        split=split,
    )
    columns = {
        name: {
            "content": [bytes.fromhex(content) for content, _ in part],
            "label": np.array([label[kind] for _, kind in part], np.int64),
        }
        for name, part in parts.items()
    }
    return Dataset.of_columns(columns, info)


def read(path: Path) -> bytes:
    """Return a file, of a long one its first and its last `BLOCK` bytes."""
    try:
        storage.check_size(path, 2**62)
        with path.open("rb") as file:
            content = file.read(2 * BLOCK + 1)
            if len(content) > 2 * BLOCK:
                file.seek(-BLOCK, os.SEEK_END)
                content = content[:BLOCK] + file.read(BLOCK)
        return content
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", MISSING) from error
