"""Labelled splits of a prepared TFDS builder, with their metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from pipelines.dataset import Dataset, Info
from pipelines.sources import tfds
from zoobase.errors import USAGE, DataError


def dataset(
    builder: Any,
    parts: Mapping[str, str],
    features: Mapping[str, str],
    descriptions: Mapping[str, str],
    statistics: Mapping[str, Any],
    **about: Any,
) -> Dataset:
    """Return the dataset.

    Args:
        builder: A prepared builder.
        parts: Our split -> TFDS split with its slice.
        features: Our feature -> the TFDS feature; others are dropped. One of ours is `label`.
        descriptions: `Info.features`, without the label.
        statistics: `Info.statistics` besides the counts of the classes.
        **about: Other fields of `Info`: name, source, licence, split.

    Raises:
        DataError: A split is empty.
    """

    def select(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {ours: example[theirs] for ours, theirs in features.items()}

    examples = {ours: tfds.read(builder, theirs).map(select) for ours, theirs in parts.items()}
    counts = {ours: int(split.cardinality()) for ours, split in examples.items()}
    if not all(counts.values()):
        raise DataError(f"{about['name']} has too few examples for these splits: {counts}", USAGE)
    names = tuple(builder.info.features[features["label"]].names)
    class_counts = Counter(examples["train"].map(lambda example: example["label"]).as_numpy_iterator())
    info = Info(
        **about,
        homepage=builder.info.homepage,
        features={**descriptions, "label": f"int64, 0 to {len(names) - 1}"},
        counts=counts,
        class_names=names,
        statistics={"class_counts": {c: class_counts[i] for i, c in enumerate(names)}, **statistics},
        sha256={f"{ours}, {theirs}": f"{builder.info.full_name} {counts[ours]}" for ours, theirs in parts.items()},
    )
    return Dataset(**examples, info=info)
