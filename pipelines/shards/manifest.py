"""The manifest of a folder of shards: features, metadata, and the digest of each file."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.dataset import Info
from zoobase.errors import DataError

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"  # the manifest of the shards that are written, until all are
FORMAT = 1
OTHER_DTYPES = ("string", "bfloat16")  # which NumPy does not have
SPLITS = ("train", "validation", "test")
_NAME = re.compile(r"(train|validation|test)-\d{5}-of-\d{5}\.tfrecord")


@dataclass(frozen=True)
class Shard:
    """A file of consecutive examples of a split."""

    file: str
    examples: int  # number of examples
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Feature:
    """A feature of the examples: `dtype` and `shape`, whose unknown sizes are None."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`."""

    info: Info  # of the dataset from which the shards were written
    features: Mapping[str, Feature]  # of the examples, by name
    files: Mapping[str, int]  # split -> number of shards
    # split -> those that are written, in the order of the examples
    shards: Mapping[str, tuple[Shard, ...]] = field(default_factory=lambda: dict.fromkeys(SPLITS, ()))

    def differences(self, other: Manifest) -> list[str]:
        """Return in what another manifest is of other data or settings; where the data was read from does not count."""
        pairs = {name: (_json(getattr(self, name)), _json(getattr(other, name))) for name in ("features", "files")}
        mine, others = _json(self.info), _json(other.info)
        pairs |= {name: (mine[name], others[name]) for name in mine if name not in ("source", "homepage", "skipped")}
        return [{"files": "--shards", "split": "--split"}.get(name, name) for name, (a, b) in pairs.items() if a != b]

    def to_json(self) -> str:
        """Return the content of the file."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Manifest:
        """Read the content of the file `where`; DataError if it is damaged, or of another version."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise DataError(f"{where} has the format {data['format']!r}, and this version reads {FORMAT}")
            manifest = cls(
                info=Info.from_json(data["info"]),
                features={n: Feature(f["dtype"], tuple(f["shape"])) for n, f in data["features"].items()},
                files={split: int(data["files"][split]) for split in SPLITS},
                shards={split: tuple(Shard(**shard) for shard in data["shards"][split]) for split in SPLITS},
            )
            files = [str(shard.file) for split in SPLITS for shard in manifest.shards[split]]
            if wrong := [name for name in files if not _NAME.fullmatch(name)]:
                raise ValueError(f"{wrong[0]!r} is not the name of a shard")
            manifest._check_types()
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{where} is damaged: {reason}") from error
        return manifest

    def _check_types(self) -> None:
        """Raise ValueError for values that are not of the types that are stated above."""
        shards = [shard for split in SPLITS for shard in self.shards[split]]
        if not all(_is_count(s.examples) and _is_count(s.bytes) and isinstance(s.sha256, str) for s in shards):
            raise ValueError("the numbers of a shard are none")
        if not self.features or not isinstance(self.info.counts, Mapping):
            raise ValueError("it has no features or no counts")
        for name, feature in self.features.items():
            is_known = isinstance(feature.dtype, str) and (
                feature.dtype in OTHER_DTYPES or np.dtype(feature.dtype).kind in "biufc"
            )
            if not is_known or not all(size is None or _is_count(size) for size in feature.shape):
                raise ValueError(
                    f"its feature {name!r} has the dtype {feature.dtype!r} and the shape {feature.shape!r}"
                )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def file_name(split: str, number: int, files: int) -> str:
    """Return the name of a shard.

    Example:
        >>> file_name("train", 2, 7)
        'train-00002-of-00007.tfrecord'
    """
    return f"{split}-{number:05}-of-{files:05}.tfrecord"


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = {name: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for name, v in value.items()}
    return json.loads(json.dumps(value.to_json() if isinstance(value, Info) else value))
