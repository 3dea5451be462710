"""Image datasets of TensorFlow Datasets, or the user's own images instead."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import USAGE, DataError
from pipelines.images import class_folders
from pipelines.sources import storage, tfds


def load(
    name: str,
    data_dir: str | os.PathLike | None,
    cache_dir: str | os.PathLike | None,
    split: str,
    official: Mapping[str, str],
    licence: str,
    unused: Sequence[str] = (),
) -> Dataset:
    """Load a TFDS dataset of labelled images.

    Args:
        name: Name of the dataset, here and in TFDS.
        data_dir: A TFDS folder that contains it, or a folder of the user's own images.
        cache_dir: Folder of prepared data.
        split: "official", or percentages of the official training set.
        official: Our split -> TFDS split.
        licence: Licence of the images.
        unused: Features that are dropped.

    Raises:
        DataError: No source has it.
    """
    policy = splits.percentages(split)
    if data_dir is None:
        source, builder = _search(name, storage.cache_root(cache_dir) / name)
    else:
        builder = _prepared(name, Path(data_dir).expanduser())
        if builder is None:
            return class_folders.load("image_folder", data_dir, cache_dir, split)
        source = f"TFDS folder {data_dir}"
    if policy is not None:
        ends = (policy[0], policy[0] + policy[1])
        official = {
            "train": f"train[:{ends[0]}%]",
            "validation": f"train[{ends[0]}%:{ends[1]}%]",
            "test": f"train[{ends[1]}%:]",
        }
    return _dataset(name, builder, source, official, licence, unused, split)


def _prepared(name: str, folder: Path) -> Any:
    if not (folder / name).is_dir():
        return None
    builder = _builder(name, folder)
    return builder if builder.data_path.exists() else None


def _search(name: str, cache: Path) -> tuple[str, Any]:
    hint = f"--data-dir FOLDER with your own images, one sub-folder per class, or with a TFDS folder of {name}"
    return tfds.download(name, cache / "official", hint)


def _builder(name: str, folder: Path) -> Any:
    return tfds.builder_class(name)(data_dir=folder)


def _dataset(
    name: str,
    builder: Any,
    source: str,
    official: Mapping[str, str],
    licence: str,
    unused: Sequence[str],
    split: str,
) -> Dataset:
    parts = {ours: tfds.read(builder, theirs) for ours, theirs in official.items()}
    parts = {s: part.map(lambda e: {k: v for k, v in e.items() if k not in unused}) for s, part in parts.items()}
    counts = {s: int(part.cardinality()) for s, part in parts.items()}
    if not all(counts.values()):
        raise DataError(f"{name} has too few images for these splits: {counts}", USAGE)
    names = tuple(builder.info.features["label"].names)
    labels = parts["train"].map(lambda example: example["label"])
    class_counts = Counter(int(label) for label in labels.as_numpy_iterator())
    info = Info(
        name=name,
        source=source,
        licence=licence,
        homepage=builder.info.homepage,
        features={"image": "JPEG bytes", "label": f"int64, 0 to {len(names) - 1}"},
        counts=counts,
        class_names=names,
        statistics={"class_counts": {c: class_counts[i] for i, c in enumerate(names)}, "image_shape": None},
        sha256={f"{ours}, {theirs}": f"{builder.info.full_name} {counts[ours]}" for ours, theirs in official.items()},
        split=split,
    )
    return Dataset(**parts, info=info)
