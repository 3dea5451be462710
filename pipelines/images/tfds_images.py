"""Image datasets of TensorFlow Datasets, or the user's own images instead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import class_folders
from pipelines.sources import tfds, tfds_labelled
from zoobase.files import cache_root


def load(
    name: str,
    data_dir: str | os.PathLike | None,
    cache_dir: str | os.PathLike | None,
    split: str,
    official: Mapping[str, str],
    licence: str,
) -> Dataset:
    """Load a TFDS dataset of labelled images.

    Args:
        name: Name of the dataset, here and in TFDS.
        data_dir: A TFDS folder that contains it, or a folder of the user's own images.
        cache_dir: Folder of prepared data.
        split: "official", or percentages of the official training set.
        official: Our split -> TFDS split.
        licence: Licence of the images.

    Returns:
        Examples with the features `image` and `label`; others are dropped.

    Raises:
        DataError: No source has it.
    """
    policy = splits.percentages(split)
    if data_dir is None:
        source, builder = _search(name, cache_root(cache_dir) / name)
    else:
        builder = prepared(name, Path(data_dir).expanduser())
        if builder is None:
            return class_folders.load("image_folder", data_dir, cache_dir, split)
        source = f"TFDS folder {data_dir}"
    return tfds_labelled.dataset(
        builder,
        tfds.slices(policy) if policy else official,
        {"image": "image", "label": "label"},
        {"image": "JPEG bytes"},
        {"image_shape": None},
        name=name,
        source=source,
        licence=licence,
        split=split,
    )


def prepared(name: str, folder: Path) -> Any:
    """Return the builder of a dataset in a TFDS folder; None if the folder does not have it."""
    if not (folder / name).is_dir():
        return None
    builder = _builder(name, folder)
    return builder if builder.data_path.exists() else None


def _search(name: str, cache: Path) -> tuple[str, Any]:
    hint = f"--data-dir FOLDER with your own images, one sub-folder per class, or with a TFDS folder of {name}"
    return tfds.download(name, cache / "official", hint)


def _builder(name: str, folder: Path) -> Any:
    return tfds.builder_class(name)(data_dir=folder)
