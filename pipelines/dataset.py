"""What a dataset is: ordered, finite, deterministic splits of feature dicts, and what is known about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Info:
    """What is known about a dataset, computed from the training split only where it is computed at all.

    Attributes:
        name: The dataset's name, as in `pipelines.load(name)`.
        source: Which source was used, in words: "prepared cache /home/...", "Debian package dataset-fashion-mnist 0.0".
        licence: SPDX identifier or a short phrase.
        homepage: Where it comes from.
        features: Feature name -> short description with dtype and shape, such as "uint8 (28, 28, 1), PNG bytes".
        counts: Split name -> number of examples.
        class_names: Names in label order, or None.
        vocabulary: Tokens in id order, or None.
        statistics: JSON-able numbers such as {"mean": 0.286, "std": 0.353}.
        sha256: File name -> digest of the raw files, where they are known.
        split: The split policy in force, such as "official" or "60/20/20".
        skipped: File -> why it is left out, for files of the user's own.
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
    def num_classes(self) -> int | None:
        """Number of classes, or None where there are none."""
        return len(self.class_names) if self.class_names is not None else None

    def to_json(self) -> dict[str, Any]:
        """Return the plain form that run folders and bundles hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Info:
        """Rebuild from `to_json`, also after a trip through JSON, which knows no tuples."""
        names = {f.name for f in dataclasses.fields(cls)}
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}
        return cls(**known)


@dataclass(frozen=True)
class Dataset:
    """Three splits of feature dicts: `{"image": bytes, "label": int64}` and the like, never batched, never shuffled."""

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    info: Info

    def __getitem__(self, split: str) -> tf.data.Dataset:
        """Return a split by its name; KeyError for any other."""
        if split not in ("train", "validation", "test"):
            raise KeyError(split)
        return getattr(self, split)
