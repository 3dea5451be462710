"""Datasets: ordered, finite, deterministic splits of feature dicts, and their metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


IN_MEMORY = "arrays in memory"  # the source of data that cannot be loaded again by its name
OWN = "your own data"  # the licence of data that a user brings: nobody else's name, licence or homepage stands there


@dataclass(frozen=True)
class Info:
    """The metadata of a dataset; statistics are computed from the training split only.

    Attributes:
        name: The dataset's name, as in `pipelines.load(name)`.
        source: The source that was used, such as "prepared cache /home/..." or "Debian package dataset-fashion-mnist".
        licence: SPDX identifier or a short phrase.
        homepage: URL of the dataset.
        features: Feature name -> short description with dtype and shape, such as "uint8 (28, 28, 1), PNG bytes".
        counts: Split name -> number of examples.
        class_names: Names in label order, or None.
        vocabulary: Tokens in id order, or None.
        statistics: JSON-able numbers such as {"mean": 0.286, "std": 0.353}.
        sha256: File name -> digest of the raw files, if known.
        split: The split policy, such as "official" or "60/20/20".
        skipped: File -> why it was skipped, for the user's own files.
    """

    name: str
    source: str
    licence: str
    homepage: str
    features: Mapping[str, str]
    counts: Mapping[str, int]
    class_names: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    split: str = "official"
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether a user brought the data: nothing that is known of a published dataset holds for it."""
        return self.licence == OWN

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or None where there are none."""
        return len(self.class_names) if self.class_names is not None else None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in run folders and bundles."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Info:
        """Rebuild from `to_json`, also after JSON has turned tuples into lists."""
        names = {f.name for f in dataclasses.fields(cls)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}
        return cls(**values)


@dataclass(frozen=True)
class Dataset:
    """Three splits of feature dicts: `{"image": bytes, "label": int64}` and the like, never batched, never shuffled."""

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    info: Info
    # the feeds of small splits by their settings, so that these are decoded once
    feeds: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of_columns(cls, columns: Mapping[str, Mapping[str, Any]], info: Info) -> Dataset:
        """Return the dataset of {split: {feature: values (N, ...)}}."""
        import tensorflow as tf

        return cls(**{s: tf.data.Dataset.from_tensor_slices(dict(values)) for s, values in columns.items()}, info=info)

    def __getitem__(self, split: str) -> tf.data.Dataset:
        """Return a split by its name; KeyError for any other."""
        if split not in ("train", "validation", "test"):
            raise KeyError(split)
        return getattr(self, split)
