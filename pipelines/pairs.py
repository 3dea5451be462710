"""Pairs of texts, a source and what it becomes: a user's table, and how rows become a dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from pipelines import labelled, sources
from pipelines.dataset import Dataset, Info
from pipelines.errors import USAGE, DataError

Rows = list[tuple[str, str]]  # (source, target)


def own(name: str, data_dir: str | os.PathLike, policy: tuple[int, int, int]) -> tuple[str, dict[str, Rows]]:
    """Return what the source is called, and the user's pairs by split: equal sources are on one side.

    Args:
        name: Of the dataset, for the messages.
        data_dir: A .csv or .tsv file with the columns `source` and `target`.
        policy: Percentages.

    Raises:
        DataError: It is no such file, it is not UTF-8, or a split would be empty.
    """
    path = Path(data_dir).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{path} is no .csv or .tsv file with the columns source and target", USAGE)
    described = f"your own pairs in {data_dir}"
    parts = labelled.divide(labelled.read_table(path, ("source", "target")), policy)
    sources.log.info("%s: %s", name, described)
    return described, parts


def dataset(parts: Mapping[str, Rows], **about: object) -> Dataset:
    """Return {"source": UTF-8 string, "target": UTF-8 string} examples.

    Args:
        parts: Rows by split.
        **about: The fields of `Info` that say where it comes from: name, source, licence, homepage, split.
    """
    info = Info(
        features={"source": "string, UTF-8", "target": "string, UTF-8"},
        counts={name: len(rows) for name, rows in parts.items()},
        **about,
    )
    tensors = {
        name: {"source": [row[0] for row in rows], "target": [row[1] for row in rows]} for name, rows in parts.items()
    }
    return Dataset(**{name: tf.data.Dataset.from_tensor_slices(held) for name, held in tensors.items()}, info=info)
