"""The MNIST family: four gzip-compressed idx files of 28x28 grey pictures in ten classes, read by TFDS's own builders.

A dataset of the family says what is its own (`Family`). How the user's files are recognised and checked, and how they
become records, splits and statistics, is the same for all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import builders, idx, sources, splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import MISSING, DataError

FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
ONCE = ", preparing it once takes about half a minute"


@dataclass(frozen=True)
class Family:
    """What is one dataset's own.

    Attributes:
        name: Of the dataset, here and in TFDS.
        licence: SPDX identifier or a short phrase.
        mtimes: File name -> the time in the publisher's gzip header, where copies without it go about.
    """

    name: str
    licence: str
    mtimes: Mapping[str, int] = field(default_factory=dict)

    def genuine(self, folder: Path) -> Any:
        """Return TFDS's builder of the official data in a folder."""
        return builders.builder_class(self.name)(data_dir=folder)

    def prepare_official(self, target: Path, files: Path | None) -> Any:
        """Have TFDS's builder prepare `target` from the four files, or from its own download; TFDS checks the sums."""
        with tempfile.TemporaryDirectory() as manual, sources.staged(target) as stage:
            for name in FILES if files else ():
                (Path(manual) / name).write_bytes(self._publisher(files, name))
            builders.prepare(self.genuine(stage), stage / "downloads", Path(manual))
        return self.genuine(target)

    def download(self, target: Path) -> sources.Source[Any]:
        """Return TFDS's own download as a source."""
        url = next(iter(builders.raw_files(self.name)))
        return sources.Source(
            "TFDS download", lambda: sources.look_ahead(url), lambda: self.prepare_official(target, None), ONCE
        )

    def user(self, folder: Path, cache: Path) -> tuple[str, Any]:
        """Read the user's folder: official files are recognised by their checksums, others are the user's own data.

        Raises:
            DataError: Files are missing, damaged, or not of this family.
        """
        if (folder / self.name).is_dir():
            builder = self.genuine(folder)
            if builder.data_path.exists():
                return f"TFDS folder {folder}", builder
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            wanted = f"{', '.join(FILES)}, or a TFDS folder with {self.name}"
            raise DataError(f"{folder} has no {missing[0]}; --data-dir wants {wanted}", MISSING)
        digests = {name: hashlib.sha256(self._publisher(folder, name)).hexdigest() for name in FILES}
        genuine = digests == self._official()
        own = "own-" + hashlib.sha256("".join(digests.values()).encode()).hexdigest()
        target = cache / ("official" if genuine else own)
        if not sources.whole(target):
            with sources.locked(cache):
                if not sources.whole(target):
                    self.prepare_official(target, folder) if genuine else self._prepare_own(target, folder)
        if genuine:
            return f"official files in {folder}", self.genuine(target)
        return f"your own files in {folder}", self._own(folder)(data_dir=target)

    def dataset(self, builder: Any, source: str, split: str, cache: Path) -> Dataset:
        """Return the splits of a prepared builder: see `pipelines.load`."""
        policy = splits.percentages(split)
        count = {name: info.num_examples for name, info in builder.info.splits.items()}
        first, second = (
            splits.bounds(policy, count["train"]) if policy else (count["train"] - count["train"] // 12,) * 2
        )
        ranges = {"train": f"train[:{first}]", "validation": f"train[{first}:]", "test": "test"}
        if policy:
            ranges |= {"validation": f"train[{first}:{second}]", "test": f"train[{second}:]"}
        parts = {name: builders.read(builder, taken) for name, taken in ranges.items()}
        info = Info(
            name=self.name,
            source=source,
            licence=self.licence,
            homepage=builder.info.homepage,
            features={"image": "uint8 (28, 28, 1), PNG bytes", "label": "int64, 0 to 9"},
            counts={name: int(part.cardinality()) for name, part in parts.items()},
            class_names=tuple(builder.info.features["label"].names),
            statistics=_statistics(Path(builder.data_path), cache, first, parts["train"]),
            sha256=self._official() if "own" not in source else {},
            split=split,
        )
        return Dataset(**parts, info=info)

    def _official(self) -> dict[str, str]:
        return {info.filename: info.checksum for info in builders.raw_files(self.name).values()}

    def _publisher(self, folder: Path, name: str) -> bytes:
        raw = (folder / name).read_bytes()
        return idx.with_header(raw, name.removesuffix(".gz"), self.mtimes[name]) if name in self.mtimes else raw

    def _prepare_own(self, target: Path, files: Path) -> None:
        with sources.staged(target) as stage:
            builders.prepare(self._own(files)(data_dir=stage), stage / "downloads")

    def _own(self, files: Path) -> type[Any]:
        """Return the genuine builder with one change: it reads the user's files, however many examples they have."""

        def split_generators(builder: Any, _: Any) -> dict[str, Iterator]:
            return {"train": _examples(files, "train"), "test": _examples(files, "t10k")}

        parent = builders.builder_class(self.name)
        return builders.derived(parent, f"{parent.__name__}Files", {"_split_generators": split_generators})


def _examples(files: Path, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    images = idx.read(files / f"{part}-images-idx3-ubyte.gz")
    labels = idx.read(files / f"{part}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28):
        raise DataError(f"{part}-images in {files} has the shape {images.shape}, but it must be (N, 28, 28)")
    if labels.shape != images.shape[:1] or not len(labels):
        raise DataError(f"{files} has {len(images)} {part} images but labels of the shape {labels.shape}")
    if labels.max() > 9:
        raise DataError(f"{part}-labels in {files} has the label {labels.max()}, but the classes are 0 to 9")
    for index, (image, label) in enumerate(zip(images[..., None], labels, strict=True)):
        yield index, {"image": image, "label": int(label)}


def _statistics(records: Path, cache: Path, first: int, train: tf.data.Dataset) -> dict[str, float]:
    """Mean and deviation of the train pixels in [0, 1], computed once per prepared data and split."""
    if not records.is_relative_to(cache):
        return measure(train)  # a folder of the user's own, which may change under us: not remembered
    path = records / f"statistics-{first}.json"
    if not path.exists():
        sources.write_atomic(path, json.dumps(measure(train)))
    return json.loads(path.read_text())


def measure(train: tf.data.Dataset) -> dict[str, float]:
    """Return mean and deviation, in [0, 1], of the pixels of grey PNG images."""
    pixels = train.map(_pixels, num_parallel_calls=tf.data.AUTOTUNE).batch(1000)
    count, total, squares = 0, 0, 0
    for batch in pixels:
        count += batch.shape[0] * batch.shape[1]
        total += int(tf.reduce_sum(batch))
        squares += int(tf.reduce_sum(batch * batch))
    mean = total / count
    return {"mean": mean / 255, "std": (squares / count - mean**2) ** 0.5 / 255}


def _pixels(example: dict[str, Any]) -> tf.Tensor:
    return tf.cast(tf.reshape(tf.io.decode_png(example["image"], channels=1), [-1]), tf.int64)
