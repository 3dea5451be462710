"""Paired and unpaired images of two domains, A and B.

Examples are {"a": encoded bytes, "b": encoded bytes}.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.images import class_folders, index, stratified_split
from pipelines.images.index import ImageFile
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import cache_root

SHAPE = [128, 128, 3]  # default size of photographs; 256 takes four times as long
LARGEST = 256  # a larger side of the images is not the default size of a model
FEATURES = {"a": "image file bytes", "b": "image file bytes"}
Parts = dict[str, list[tuple[str, ImageFile]]]  # split -> (domain or "", image), as in `stratified_split.divide`


def zip_unpaired(a: tf.data.Dataset, b: tf.data.Dataset) -> tf.data.Dataset:
    """Zip two unpaired sets: as many examples as the larger has; the smaller one repeats."""
    count = max(int(a.cardinality()), int(b.cardinality()))
    zipped = tf.data.Dataset.zip((a.repeat(), b.repeat())).take(count)
    return zipped.map(lambda first, second: {"a": first, "b": second})


def with_base_info(name: str, parts: Mapping[str, tf.data.Dataset], base: Info, shape: Sequence[int]) -> Dataset:
    """Return splits of {"a", "b"} derived from a dataset, with the metadata of that."""
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


# === The user's own folders ===


@dataclass(frozen=True)
class PairedLayout:
    """The layout of a folder: split ("" if it has none) -> domain -> (name within the domain, file)."""

    root: Path
    files: dict[str, dict[str, dict[str, Path]]]


def root(name: str, data_dir: str | os.PathLike | None, layout: str) -> Path:
    """Return the user's folder; DataError if it is not given or not a folder."""
    if data_dir is None:
        raise DataError(f"{name} reads your own images: set --data-dir FOLDER, {layout}", MISSING)
    path = Path(data_dir).expanduser().absolute()
    if not path.is_dir():
        problem = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {problem}; --data-dir needs a folder, {layout}", USAGE if path.exists() else MISSING)
    return path


def find(path: Path) -> PairedLayout | None:
    """Return the two domains of a folder: trainA, trainB, testA, testB, or two sub-folders that are not splits."""
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for split, names in stratified_split.FOLDERS.items():
        for domain in "AB":
            for folder in (p for p in folders if p.name.lower() in [n + domain.lower() for n in names]):
                files.setdefault(split, {})[domain] = dict(_files_by_name(folder))
    if files:
        return PairedLayout(path, files)
    return None if len(folders) != 2 or any(split_of(p.name) for p in folders) else of_folders(path, *folders)


def of_folders(path: Path, a: Path, b: Path) -> PairedLayout:
    """Return the two domains of a folder that are `a` and `b`, sub-folders with or without train, valid and test."""
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for domain, folder in zip("AB", (a, b), strict=True):
        for name, file in _files_by_name(folder):
            split, _, rest = name.partition("/")
            domain_files = files.setdefault(split_of(split) if rest else "", {}).setdefault(domain, {})
            domain_files[rest if rest and split_of(split) else name] = file
    return PairedLayout(path, files)


def split_of(folder: str) -> str:
    """Return the split that a folder name denotes, or ""."""
    return next((s for s, names in stratified_split.FOLDERS.items() if folder.lower() in names), "")


def matched(
    layout: PairedLayout, skipped: dict[str, str], domains: tuple[str, str] = ("the other domain", "the other domain")
) -> dict[str, list[tuple[Path, Path]]]:
    """Return the files of both domains with the same name, by split; `skipped` gets the others."""
    pairs: dict[str, list[tuple[Path, Path]]] = {}
    for split, files in layout.files.items():
        a, b = files.get("A", {}), files.get("B", {})
        pairs[split] = [(a[name], b[name]) for name in sorted(a.keys() & b.keys())]
        for name in sorted(a.keys() ^ b.keys()):
            place = stratified_split.display_path(layout.root, a.get(name) or b[name])
            skipped[place] = f"there is no file of this name in {domains[name in a]}"
    return pairs


def _files_by_name(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in class_folders.files_below(folder):
        yield path.relative_to(folder).with_suffix("").as_posix(), path


def examine(name: str, paths: Sequence[Path], cache_dir: str | os.PathLike | None) -> dict[Path, ImageFile]:
    """Return the index of files by path, and log how many cannot be read."""
    images = index.read(paths, cache_root(cache_dir))
    skipped = sum(bool(p.problem) for p in images.values())
    if skipped:
        storage.log.info("%s: %d of %d files are skipped", name, skipped, len(images))
    return images


def divide(
    path: Path,
    files: stratified_split.FilesByClass,
    policy: tuple[int, int, int] | None,
    skipped: dict[str, str],
    min_domains: int,
    grouping: splits.Grouping | None = None,
) -> Parts:
    """Return the splits, ordered by contents; DataError for a split with fewer than `min_domains` domains."""
    if not {"", "train"} & files.keys():
        raise DataError(f"{path} has images for {' and '.join(files) or 'nothing'}, but none for training", USAGE)
    parts = stratified_split.divide(path, files, policy, skipped, grouping)
    for split, part in parts.items():
        if len({domain for domain, _ in part}) < min_domains:
            raise DataError(f"{path} has too few images that can be read: none remain for {split}", USAGE)
    return {s: sorted(part, key=lambda pair: pair[1].sha256) for s, part in parts.items()}


def check_skipped(name: str, path: Path, skipped: Mapping[str, str], total: int, kind: str) -> None:
    """Report which of the user's images or files are left out; DataError for more than `MAX_SKIPPED` of the total."""
    if skipped:
        file, why = next(iter(skipped.items()))
        storage.log.info("%s: %d %s are left out, such as %s: %s", name, len(skipped), kind, file, why)
        if len(skipped) > class_folders.MAX_SKIPPED * total:
            share = f"more than {class_folders.MAX_SKIPPED:.0%}"
            raise DataError(f"{len(skipped)} {kind} in {path} cannot be used, {share}: {file}: {why}")


def own_dataset(
    name: str,
    path: Path,
    parts: Parts,
    examples: Mapping[str, tf.data.Dataset],
    skipped: dict[str, str],
    split: str,
    annotations: Mapping[Path, Any] = MappingProxyType({}),
    **facts: Any,
) -> Dataset:
    """Return a dataset of the user's own images, perhaps with annotations, and other facts than those of pairs."""
    of_image = {p.path: annotations.get(p.path, domain) for part in parts.values() for domain, p in part}
    contents = "\n".join(f"{s} {of_image[p.path]} {p.sha256}" for s, part in parts.items() for _, p in part)
    info = Info(
        name=name,
        source=f"your own images in {path}",
        licence=OWN,
        homepage=str(path),
        counts={s: int(part.cardinality()) for s, part in examples.items()},
        sha256={"pictures": hashlib.sha256(contents.encode()).hexdigest()},
        split=split,
        skipped=skipped,
        **{"features": FEATURES, "statistics": {"image_shape": SHAPE}, **facts},
    )
    storage.log.info("%s: %s", name, info.source)
    return Dataset(**examples, info=info)


def with_groups(dataset: Dataset, path: Path, parts: Parts, grouping: splits.Grouping | None) -> Dataset:
    """Return a dataset of `own_dataset` with the groups of its images."""
    paths = {s: [p.path for _, p in part] for s, part in parts.items()}
    return stratified_split.with_groups(dataset, path, paths, grouping)


def shape_of(parts: Parts, default: list[int]) -> list[int]:
    """Return the common shape of training images that are not larger than models usually take, or the default."""
    shape = index.common_shape([image for _, image in parts["train"]])
    return shape if shape and max(shape[:2]) <= LARGEST else default


def files(paths: Sequence[Path]) -> tf.data.Dataset:
    """Return the contents of files, scalar strings."""
    return tf.data.Dataset.from_tensor_slices([str(p) for p in paths]).map(tf.io.read_file)
