"""Pictures that turn into one another: side A and side B, pair by pair, or as two heaps that have no pairs.

Examples are {"a": encoded bytes, "b": encoded bytes}.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from pipelines.dataset import Dataset, Info
from pipelines.errors import MISSING, USAGE, DataError
from pipelines.images import class_folders, index, stratified_split
from pipelines.images.index import Picture
from pipelines.sources import storage

SHAPE = [128, 128, 3]  # to which photographs are brought unless the task says otherwise; 256 takes four times as long
FEATURES = {"a": "image file bytes", "b": "image file bytes"}
Parts = dict[str, list[tuple[str, Picture]]]  # split -> (side or "", picture), as of `stratified_split.divide`


def beside(a: tf.data.Dataset, b: tf.data.Dataset) -> tf.data.Dataset:
    """Lay two heaps side by side: as many examples as the larger has, the smaller begins anew when it ends."""
    count = max(int(a.cardinality()), int(b.cardinality()))
    both = tf.data.Dataset.zip((a.repeat(), b.repeat())).take(count)
    return both.map(lambda one, other: {"a": one, "b": other})


def made(
    name: str, base: Dataset, sides: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]], shape: Sequence[int]
) -> Dataset:
    """Make a dataset of another one's pictures, which keeps its source, licence and splits.

    Args:
        name: Of the new one.
        base: Of which every example becomes one.
        sides: Example -> {"a", "b"}, a pure TensorFlow function.
        shape: (H, W, C) that the pictures are made for.
    """
    parts = {s: base[s].map(sides, num_parallel_calls=tf.data.AUTOTUNE) for s in ("train", "validation", "test")}
    return described(name, parts, base.info, shape)


def described(name: str, parts: Mapping[str, tf.data.Dataset], base: Info, shape: Sequence[int]) -> Dataset:
    """Return splits of {"a", "b"} that were made of a dataset, with what was known of that."""
    info = Info(
        name=name,
        source=f"{base.name}: {base.source}",
        licence=base.licence,
        homepage=base.homepage,
        features=FEATURES,
        counts={s: int(part.cardinality()) for s, part in parts.items()},
        statistics={"image_shape": list(shape)},
        sha256=base.sha256,
        split=base.split,
        skipped=base.skipped,
    )
    return Dataset(**parts, info=info)


# === Folders of the user's own ===


@dataclass(frozen=True)
class Found:
    """What a folder says by its names: split ("" where it has none) -> side -> (name within the side, file)."""

    root: Path
    files: dict[str, dict[str, dict[str, Path]]]


def root(name: str, data_dir: str | os.PathLike | None, wanted: str) -> Path:
    """Return the user's folder; DataError where none is named, or it is no folder."""
    if data_dir is None:
        raise DataError(f"{name} is your own pictures: name them with --data-dir FOLDER, {wanted}", MISSING)
    path = Path(data_dir).expanduser().absolute()
    if not path.is_dir():
        what = "is a file" if path.exists() else "is not there"
        raise DataError(f"{path} {what}; --data-dir wants a folder, {wanted}", USAGE if path.exists() else MISSING)
    return path


def find(path: Path) -> Found | None:
    """Return the two sides of a folder: trainA, trainB, testA, testB, or two sub-folders of any names but of splits.

    Of two sub-folders the first by name is A; each may have train, valid and test below. None where it is neither.
    """
    below = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for split, names in stratified_split.FOLDERS.items():
        for side in "AB":
            for folder in (p for p in below if p.name.lower() in [n + side.lower() for n in names]):
                files.setdefault(split, {})[side] = dict(_named(folder))
    if files:
        return Found(path, files)
    if len(below) != 2 or any(split_of(p.name) for p in below):
        return None
    for side, folder in zip("AB", below, strict=True):
        for name, file in _named(folder):
            split, _, rest = name.partition("/")
            place = files.setdefault(split_of(split) if rest else "", {}).setdefault(side, {})
            place[rest if rest and split_of(split) else name] = file
    return Found(path, files)


def split_of(folder: str) -> str:
    """Return the split that the name of a folder stands for; "" for none."""
    return next((s for s, names in stratified_split.FOLDERS.items() if folder.lower() in names), "")


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(class_folders.files_below(folder)):
        yield path.relative_to(folder).with_suffix("").as_posix(), path


def look(name: str, paths: Sequence[Path], cache_dir: str | os.PathLike | None) -> dict[Path, Picture]:
    """Return what is known of files, by path; one line of the log says how many cannot be read."""
    pictures = index.read(paths, storage.cache_root(cache_dir))
    bad = sum(bool(p.problem) for p in pictures.values())
    if bad:
        storage.log.info("%s: %d of %d files are left out", name, bad, len(pictures))
    return pictures


def divided(
    path: Path, held: stratified_split.Held, policy: tuple[int, int, int] | None, skipped: dict[str, str], least: int
) -> Parts:
    """Return the splits, ordered by contents.

    Raises:
        DataError: There is nothing to train with, or a split has fewer than `least` sides.
    """
    if not {"", "train"} & held.keys():
        raise DataError(f"{path} has pictures for {' and '.join(held) or 'nothing'}, but none to train with", USAGE)
    parts = stratified_split.divide(path, held, policy, skipped)
    for split, part in parts.items():
        if len({side for side, _ in part}) < least:
            raise DataError(f"{path} has too few pictures that can be read: none are left for {split}", USAGE)
    return {s: sorted(part, key=lambda pair: pair[1].sha256) for s, part in parts.items()}


def own(
    name: str, path: Path, parts: Parts, examples: Mapping[str, tf.data.Dataset], skipped: dict[str, str], split: str
) -> Dataset:
    """Return a dataset of the user's own pictures."""
    told = "\n".join(f"{s} {side} {p.sha256}" for s, part in parts.items() for side, p in part)
    about = Info(
        name=name,
        source=f"your own pictures in {path}",
        licence="your own data",
        homepage=str(path),
        features=FEATURES,
        counts={s: int(part.cardinality()) for s, part in examples.items()},
        statistics={"image_shape": SHAPE},
        sha256={"pictures": hashlib.sha256(told.encode()).hexdigest()},
        split=split,
        skipped=skipped,
    )
    storage.log.info("%s: %s", name, about.source)
    return Dataset(**examples, info=about)


def files(paths: Sequence[Path]) -> tf.data.Dataset:
    """Return the contents of files, scalar strings."""
    return tf.data.Dataset.from_tensor_slices([str(p) for p in paths]).map(tf.io.read_file)
