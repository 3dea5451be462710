"""Pairs of source and target texts: the user's table, and datasets of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from pipelines.text import labelled
from zoobase.errors import USAGE, DataError

Rows = list[tuple[str, str]]  # (source, target)


def load(
    name: str,
    data_dir: str | os.PathLike | None,
    split: str,
    official: Callable[[], tuple[str, Mapping[str, Rows]]],
    licence: str,
    homepage: str,
    sha256_of: Callable[[str], dict[str, str]] = lambda source: {},
) -> Dataset:
    """Return the splits of a dataset of pairs; see `pipelines.load`.

    Args:
        name: Name of the dataset.
        data_dir: The user's own table, or None.
        split: "official", or percentages of the official training set, or of all of the user's pairs (else 90/5/5).
        official: Returns a description of the source, and the official rows by split.
        licence: Licence of the official rows.
        homepage: URL of the dataset.
        sha256_of: Returns the checksums of the files of a source.

    Raises:
        DataError: The rows are not available, or a split would be empty.
    """
    policy = splits.percentages(split)
    if data_dir is None:
        source, parts = official()
        if policy:
            rows = parts["train"]
            first, second = splits.bounds(policy, len(rows))
            parts = {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}
    else:
        source, parts = read_own(name, data_dir, policy or (90, 5, 5))
    licence = licence if data_dir is None else OWN
    return dataset(
        parts, name=name, source=source, licence=licence, homepage=homepage, sha256=sha256_of(source), split=split
    )


def read_own(name: str, data_dir: str | os.PathLike, policy: tuple[int, int, int]) -> tuple[str, dict[str, Rows]]:
    """Return a description of the source, and the user's pairs by split; equal sources are in one split.

    Args:
        name: Name of the dataset, for messages.
        data_dir: A .csv or .tsv file with the columns `source` and `target`.
        policy: Percentages.

    Raises:
        DataError: It is not such a file, it is not UTF-8, or a split would be empty.
    """
    path = Path(data_dir).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{path} is not a .csv or .tsv file with the columns source and target", USAGE)
    description = f"your own pairs in {data_dir}"
    parts = labelled.divide(labelled.read_table(path, ("source", "target")), policy)
    storage.log.info("%s: %s", name, description)
    return description, parts


def dataset(parts: Mapping[str, Rows], **about: object) -> Dataset:
    """Return {"source": UTF-8 string, "target": UTF-8 string} examples.

    Args:
        parts: Rows by split.
        **about: Other fields of `Info`: name, source, licence, homepage, split.
    """
    info = Info(
        features={"source": "string, UTF-8", "target": "string, UTF-8"},
        counts={name: len(rows) for name, rows in parts.items()},
        **about,
    )
    tensors = {
        name: {"source": [row[0] for row in rows], "target": [row[1] for row in rows]} for name, rows in parts.items()
    }
    return Dataset(
        **{name: tf.data.Dataset.from_tensor_slices(columns) for name, columns in tensors.items()}, info=info
    )
