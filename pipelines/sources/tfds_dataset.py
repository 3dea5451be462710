"""Splits of a prepared TFDS builder, with their metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from pipelines.dataset import Dataset, Info
from pipelines.sources import tfds
from zoobase.errors import USAGE, DataError


def dataset(
    builder: Any,
    parts: Mapping[str, str],
    select: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]],
    features: Mapping[str, str],
    statistics: Mapping[str, Any],
    *,
    label: str | None = None,
    class_names: tuple[str, ...] = (),
    **about: Any,
) -> Dataset:
    """Return the dataset.

    Args:
        builder: A prepared builder.
        parts: Our split -> TFDS split with its slice.
        select: Returns our features of an example of TFDS.
        features: `Info.features`, without the label.
        statistics: `Info.statistics` besides the counts of the classes.
        label: The TFDS feature of the classes, which is ours `label`; None if there is none.
        class_names: Names of the classes without `label`, such as those of masks.
        **about: Other fields of `Info`: name, source, licence, split.

    Raises:
        DataError: A split is empty.
    """
    examples = {ours: tfds.read(builder, theirs).map(select) for ours, theirs in parts.items()}
    counts = {ours: int(split.cardinality()) for ours, split in examples.items()}
    if not all(counts.values()):
        raise DataError(f"{about['name']} has too few examples for these splits: {counts}", USAGE)
    if label is not None:
        class_names = tuple(builder.info.features[label].names)
        features = {**features, "label": f"int64, 0 to {len(class_names) - 1}"}
        class_counts = Counter(examples["train"].map(lambda example: example["label"]).as_numpy_iterator())
        statistics = {"class_counts": {c: class_counts[i] for i, c in enumerate(class_names)}, **statistics}
    info = Info(
        **about,
        homepage=builder.info.homepage,
        features=features,
        counts=counts,
        class_names=class_names,
        statistics=statistics,
        sha256={f"{ours}, {theirs}": f"{builder.info.full_name} {counts[ours]}" for ours, theirs in parts.items()},
    )
    return Dataset(**examples, info=info)
