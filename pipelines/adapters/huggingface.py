"""Datasets of Hugging Face's library `datasets`, which is not needed here: any object with `features` and columns."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.adapters.arrays import PARTS, from_arrays
from pipelines.dataset import Dataset
from zoobase.errors import USAGE, DataError


def from_huggingface(
    dataset: Any, *, column: str | None = None, label: str | None = None, split: str = "80/10/10", seed: int = 0
) -> Dataset:
    """Return labelled images or texts that `datasets.load_dataset` loaded, for `zoo.train.run(NAME, dataset=...)`.

    The encoded images, or the texts, are held in memory.

    Args:
        dataset: A `datasets.Dataset`, or a `DatasetDict` with the split train, and validation and test if it has them.
        column: Column of images or texts; by default the first one with them.
        label: Column of labels; by default the first one with class names.
        split: Percentages of train, validation and test, for the splits that are missing.
        seed: Seed of that division.

    Returns:
        As `from_arrays`.

    Raises:
        DataError: There are no such columns, or as in `from_arrays`.

    Example:
        >>> data = from_huggingface(datasets.load_dataset("rotten_tomatoes"))  # doctest: +SKIP
        >>> from_huggingface(["a text"])
        Traceback (most recent call last):
            ...
        zoobase.errors.DataError: list is not a dataset of Hugging Face with a split train
    """
    parts = {part: dataset[part] for part in PARTS if part in dataset} if isinstance(dataset, Mapping) else {}
    parts = parts or {"train": dataset}
    if not hasattr(parts["train"], "features"):
        raise DataError(f"{type(dataset).__name__} is not a dataset of Hugging Face with a split train", USAGE)
    train = parts["train"]
    label = label or next((n for n, feature in train.features.items() if getattr(feature, "names", None)), None)
    column = column or next((n for n, feature in train.features.items() if _kind(feature) and n != label), None)
    for name, what in ((column, "images or texts"), (label, "class names")):
        if name not in train.features:
            names = ", ".join(train.features)
            raise DataError(f"there is no column {name or f'with {what}'}; the columns are {names}", USAGE)
    if not _kind(train.features[column]):
        raise DataError(f"the column {column} holds neither images nor texts", USAGE)
    pairs = {part: (_inputs(rows, column), np.asarray(rows[label])) for part, rows in parts.items()}
    info = getattr(train, "info", None)
    return from_arrays(
        *pairs.pop("train"),
        **pairs,
        split=split,
        seed=seed,
        class_names=getattr(train.features[label], "names", None),
        name=f"huggingface/{getattr(info, 'dataset_name', None) or 'dataset'}",
    )


def _kind(feature: Any) -> str:
    """Return "image", "text", or nothing for another column."""
    if type(feature).__name__ == "Image":
        return "image"
    return "text" if getattr(feature, "dtype", "") in ("string", "large_string") else ""


def _inputs(rows: Any, column: str) -> list[bytes] | list[str]:
    if _kind(rows.features[column]) == "text":
        return list(rows[column])
    return [_encoded(row[column]) for row in rows]


def _encoded(image: Any) -> bytes:
    """Return an image of Pillow, or of {"bytes": ...}, as the bytes of a file."""
    if isinstance(image, Mapping):
        return image["bytes"]
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
