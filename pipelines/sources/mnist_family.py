"""The MNIST family: four gzip-compressed idx files of 28x28 grey images in ten classes, read by builders of TFDS.

`Family` holds the facts of one dataset. Detection and checks of the user's files, records, splits and statistics are
common to all datasets of the family.

Format: http://yann.lecun.com/exdb/mnist/ and RFC 1952 (gzip).
"""

import gzip
import hashlib
import io
import json
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import search, storage, tfds
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import write_atomic

FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
LARGEST = 2**30  # bytes of an inflated file
ONCE = ", preparing it once takes about half a minute"

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


@dataclass(frozen=True)
class Family:
    """The facts of one dataset."""

    name: str  # here and in TFDS
    licence: str
    mtimes: Mapping[str, int] = field(default_factory=dict)  # file -> time in its gzip header, for copies that lack it

    def official_builder(self, folder: Path) -> Any:
        """Return the builder of TFDS for the official data in a folder."""
        return tfds.builder_class(self.name)(data_dir=folder)

    def prepare_official(self, target: Path, files: Path | None) -> Any:
        """Prepare `target` with the builder of TFDS from the four files or its download; TFDS checks the checksums."""
        with tempfile.TemporaryDirectory() as manual, storage.staged(target) as stage:
            for name in FILES if files else ():
                (Path(manual) / name).write_bytes(self._publisher_bytes(files, name))
            tfds.prepare(self.official_builder(stage), stage / "downloads", Path(manual))
        return self.official_builder(target)

    def download(self, target: Path) -> search.Source[Any]:
        """Return the download of TFDS as a source."""
        url = next(iter(tfds.raw_files(self.name)))
        return search.Source(
            "TFDS download", lambda: search.check_url(url), lambda: self.prepare_official(target, None), ONCE
        )

    def has_classes(self, data_dir: str | os.PathLike) -> bool:
        """Whether the user's folder has sub-folders, and neither files of this format nor a TFDS folder."""
        folder = Path(data_dir).expanduser()
        if not folder.is_dir() or (folder / self.name).is_dir() or any((folder / name).is_file() for name in FILES):
            return False
        return any(path.is_dir() for path in folder.iterdir())

    def user(self, folder: Path, cache: Path) -> tuple[str, Any]:
        """Read the user's folder: files with the official checksums are official, others are the user's own data."""
        if (folder / self.name).is_dir():
            builder = self.official_builder(folder)
            if builder.data_path.exists():
                return f"TFDS folder {folder}", builder
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            expected = f"one sub-folder of images per class, {', '.join(FILES)}, or a TFDS folder with {self.name}"
            raise DataError(f"{folder} has no {missing[0]}; --data-dir needs {expected}", MISSING)
        digests = {name: hashlib.sha256(self._publisher_bytes(folder, name)).hexdigest() for name in FILES}
        is_official = digests == self._official()
        own_name = "own-" + hashlib.sha256("".join(digests.values()).encode()).hexdigest()
        target = cache / ("official" if is_official else own_name)
        if not storage.is_complete(target):
            with storage.preparing(cache):
                if not storage.is_complete(target):
                    self.prepare_official(target, folder) if is_official else self._prepare_own(target, folder)
        if is_official:
            return f"official files in {folder}", self.official_builder(target)
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
        parts = {name: tfds.read(builder, tfds_range) for name, tfds_range in ranges.items()}
        checksums = self.checksums(builder)
        info = Info(
            name=self.name,
            source=source,
            licence=self.licence if checksums else OWN,
            homepage=builder.info.homepage,
            features={"image": "uint8 (28, 28, 1), PNG bytes", "label": "int64, 0 to 9"},
            counts={name: int(part.cardinality()) for name, part in parts.items()},
            class_names=tuple(builder.info.features["label"].names),
            statistics=_statistics(Path(builder.data_path), cache, first, parts["train"]),
            sha256=checksums,
            split=split,
        )
        return Dataset(**parts, info=info)

    def checksums(self, builder: Any) -> dict[str, str]:
        """Return the checksums of the publisher's files; empty for a builder of the user's own files."""
        return self._official() if type(builder) is tfds.builder_class(self.name) else {}

    def _official(self) -> dict[str, str]:
        return {info.filename: info.checksum for info in tfds.raw_files(self.name).values()}

    def _publisher_bytes(self, folder: Path, name: str) -> bytes:
        raw = (folder / name).read_bytes()
        return with_header(raw, name.removesuffix(".gz"), self.mtimes[name]) if name in self.mtimes else raw

    def _prepare_own(self, target: Path, files: Path) -> None:
        with storage.staged(target) as stage:
            tfds.prepare(self._own(files)(data_dir=stage), stage / "downloads")

    def _own(self, files: Path) -> type[Any]:
        """Return the builder of TFDS with one change: it reads the user's files, with any number of examples."""

        def split_generators(builder: Any, _: Any) -> dict[str, Iterator]:
            return {"train": _examples(files, "train"), "test": _examples(files, "t10k")}

        parent = tfds.builder_class(self.name)
        return tfds.derived(parent, f"{parent.__name__}Files", {"_split_generators": split_generators})


def _examples(files: Path, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    images = read_idx(files / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(files / f"{part}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28):
        raise DataError(f"{part}-images in {files} has the shape {images.shape}, but it must be (N, 28, 28)")
    if labels.shape != images.shape[:1] or not len(labels):
        raise DataError(f"{files} has {len(images)} {part} images but labels of the shape {labels.shape}")
    if labels.max() > 9:
        raise DataError(f"{part}-labels in {files} has the label {labels.max()}, but the classes are 0 to 9")
    for index, (image, label) in enumerate(zip(images[..., None], labels, strict=True)):
        yield index, {"image": image, "label": int(label)}


def _statistics(records: Path, cache: Path, first: int, train: tf.data.Dataset) -> dict[str, float]:
    """Return mean and deviation of the train pixels in [0, 1], cached per prepared data and split."""
    if not records.is_relative_to(cache):
        return pixel_statistics(train)  # not cached, because the user's own folder may change
    path = records / f"statistics-{first}.json"
    if not path.exists():
        write_atomic(path, json.dumps(pixel_statistics(train)))
    return json.loads(path.read_text())


def pixel_statistics(train: tf.data.Dataset) -> dict[str, float]:
    """Return mean and deviation, in [0, 1], of the pixels of grey PNG images."""

    def pixels_of(example: dict[str, Any]) -> tf.Tensor:
        return tf.cast(tf.reshape(tf.io.decode_png(example["image"], channels=1), [-1]), tf.int64)

    pixels = train.map(pixels_of, num_parallel_calls=tf.data.AUTOTUNE).batch(1000)
    count, total, squares = 0, 0, 0
    for batch in pixels:
        count += batch.shape[0] * batch.shape[1]
        total += int(tf.reduce_sum(batch))
        squares += int(tf.reduce_sum(batch * batch))
    mean = total / count
    return {"mean": mean / 255, "std": (squares / count - mean**2) ** 0.5 / 255}


def read_idx(path: Path) -> np.ndarray:
    """Read a gzip-compressed idx file of bytes: uint8 (N,) for labels and (N, H, W) for images."""
    try:
        storage.check_size(path)
        with gzip.open(path) as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08":
                raise DataError(f"{path} is not an idx file of unsigned bytes; is it the right file?")
            sizes = file.read(4 * head[3])
            shape = struct.unpack(f">{len(sizes) // 4}I", sizes[: len(sizes) // 4 * 4])
            stated = math.prod(shape) if len(shape) == head[3] else -1
            if stated > LARGEST:
                raise DataError(f"{path} states the shape {shape}, more than {LARGEST:,} bytes", USAGE)
            raw = file.read(max(stated, 0) + 1)  # no more than one byte that is not stated, whatever it inflates to
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or not a gzip file ({error}); download it again") from error
    if len(raw) != stated:
        raise DataError(f"{path} states the shape {shape} but holds another number of bytes; download it again")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def with_header(raw: bytes, name: str, mtime: int) -> bytes:
    """Return a gzip file with another name and time (seconds since 1970), and the same compressed payload."""
    # Debian repacks the files without name and time, so their checksums differ from the publisher's.
    try:
        if raw[:3] != b"\x1f\x8b\x08":
            raise ValueError("no gzip magic")
        flags, end = raw[3], 10
        if flags & _FEXTRA:
            end += 2 + int.from_bytes(raw[end : end + 2], "little")
        for flag in (_FNAME, _FCOMMENT):
            if flags & flag:
                end = raw.index(b"\0", end) + 1
        if flags & _FHCRC:
            end += 2
    except ValueError as error:
        raise DataError(f"{name}.gz is damaged or not a gzip file; download it again") from error
    return raw[:3] + bytes([_FNAME]) + struct.pack("<I", mtime) + raw[8:10] + name.encode() + b"\0" + raw[end:]


def of_arrays(images: np.ndarray, labels: np.ndarray, rows: Mapping[str, np.ndarray], **about: str) -> Dataset:
    """Return a dataset of grey images in ten classes, with the features {"image": PNG bytes, "label": int64}."""
    encoded, labels = (np.array([_png(image) for image in images]), labels.astype(np.int64))
    columns = {name: {"image": encoded[indices], "label": labels[indices]} for name, indices in rows.items()}
    info = Info(
        **about,
        features={"image": f"uint8 {(*images.shape[1:], 1)}, PNG bytes", "label": "int64, 0 to 9"},
        counts={name: len(indices) for name, indices in rows.items()},
        class_names=tuple(map(str, range(10))),
        statistics=pixel_statistics(tf.data.Dataset.from_tensor_slices(columns["train"])),
    )
    return Dataset.of_columns(columns, info)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
