"""Folders of images: one sub-folder per class, or train, validation and test with such sub-folders.

The layout is read from the names of folders; every file is checked once, and the result is cached.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.images import index, stratified_split
from pipelines.images.index import ImageFile
from pipelines.sources.storage import log
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import cache_root

MAX_SKIPPED = 0.1  # largest fraction of unreadable files
_IGNORED = ("Thumbs.db", "desktop.ini", "__MACOSX")  # system files; hidden files are ignored too


@dataclass(frozen=True)
class Layout:
    """The layout of a folder: split ("" if it has none) -> class -> files, in order."""

    root: Path
    files: dict[str, dict[str, list[Path]]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all splits, in alphabetical order."""
        return tuple(sorted({name for classes in self.files.values() for name in classes}))


def load(
    name: str, folder: str | os.PathLike, cache_dir: str | os.PathLike | None = None, split: str = "official"
) -> Dataset:
    """Read a folder of images: {"image": encoded bytes, "label": int64, "file": path below the folder}."""
    # Missing splits are taken from train by the digests of the contents: an image is never in two splits. What cannot
    # be decoded is skipped, see `info.skipped`. The policy may end in " by folder" or " by name REGEX".
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares)
    root = Path(folder).expanduser().absolute()
    layout = find(root)
    images = index.read([p for c in layout.files.values() for f in c.values() for p in f], cache_root(cache_dir))
    skipped = {stratified_split.display_path(root, p.path): p.problem for p in images.values() if p.problem}
    if len(skipped) > MAX_SKIPPED * len(images):
        raise DataError(
            f"{len(skipped)} of {len(images)} files in {root} cannot be read, more than {MAX_SKIPPED:.0%}: "
            f"{_example(skipped)}"
        )
    files = {s: {c: [images[p] for p in files] for c, files in k.items()} for s, k in layout.files.items()}
    files = {s: {c: [p for p in files if not p.problem] for c, files in k.items()} for s, k in files.items()}
    stratified_split.drop_contradictions(root, files, skipped)
    parts = stratified_split.divide(root, files, policy, skipped, grouping)
    for rows, purpose in ((parts["train"], "training"), (parts["validation"], "validation"), (parts["test"], "test")):
        if not rows:
            advice = f'"{split}" needs several groups in a class' if grouping else "add some to each class"
            raise DataError(f"no {purpose} images remain in {root}: {advice}", USAGE)
    if empty := set(layout.class_names) - {name for name, _ in parts["train"]}:
        skipped_files = {file: why for file, why in skipped.items() if min(empty) in file.split("/")}
        such = f", such as {_example(skipped_files)}" if skipped_files else ""
        raise DataError(f"no image of the class {min(empty)!r} in {root} is usable for training{such}", USAGE)
    if skipped:
        log.info("%s: %d of %d files are skipped, such as %s", name, len(skipped), len(images), _example(skipped))
    parts = {s: sorted(p, key=lambda pair: (pair[1].sha256, pair[1].path)) for s, p in parts.items()}
    dataset = _dataset(name, layout, parts, skipped, split)
    return stratified_split.with_groups(dataset, root, {s: [p.path for _, p in parts[s]] for s in parts}, grouping)


def find(root: Path) -> Layout:
    """Read the layout of a folder from the names in it; DataError says what it has if it is no folder of classes."""
    if not root.exists():
        raise DataError(f"there is no folder {root}", MISSING)
    if not root.is_dir():
        raise DataError(f"{root} is a file; --data-dir needs a folder with one sub-folder per class", USAGE)
    folders = _folders(root)
    if (
        len(folders) == 1
        and not _split_folders(folders)
        and _folders(folders[0])
        and not any(files_below(folders[0], deep=False))
    ):
        return find(folders[0])  # an unpacked archive: photos/photos/...
    split_folders = _split_folders(folders)
    if split_folders and "train" not in split_folders and len(split_folders) == len(folders):
        raise DataError(
            f"{root} has {' and '.join(f.name for f in split_folders.values())}, but no train: add it, or put images "
            "of each class into one sub-folder",
            USAGE,
        )
    parts = split_folders if "train" in split_folders else {"": root}
    files = {split: {below.name: list(files_below(below)) for below in _folders(path)} for split, path in parts.items()}
    layout = Layout(root, files)
    _check_classes(layout)
    return layout


def _split_folders(folders: Sequence[Path]) -> dict[str, Path]:
    return {
        s: f
        for s, names in stratified_split.FOLDERS.items()
        for f in folders
        if f.name.lower() in names and _folders(f)
    }


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _ignored(p.name))


def files_below(folder: Path, deep: bool = True) -> Iterator[Path]:
    """Yield the files in a folder, and with `deep` in all folders below it, without system files, sorted."""
    with os.scandir(folder) as entries:
        entries = sorted((entry for entry in entries if not _ignored(entry.name)), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_file():
            yield folder / entry.name
        elif deep and entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name)


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in _IGNORED


def _check_classes(layout: Layout) -> None:
    root, names = layout.root, layout.class_names
    if not any(files_below(root)):
        raise DataError(f"there are no files in {root}; --data-dir needs one sub-folder of images per class", MISSING)
    if not names:
        count = sum(1 for _ in files_below(root, deep=False))
        raise DataError(
            f"{root} has {count} files but no sub-folders: put the images of each class into a sub-folder", USAGE
        )
    if len(names) == 1:
        raise DataError(f"{root} has the one class {names[0]!r}: there must be at least two sub-folders", USAGE)
    for split, classes in layout.files.items():
        where = f"{root / split}" if split else f"{root}"
        empty = [c for c in names if not classes.get(c)] if split == "train" else [c for c in classes if not classes[c]]
        if empty and split in ("", "train"):
            raise DataError(f"the class {empty[0]!r} has no images in {where}: add some, or remove the folder", USAGE)


def _example(skipped: dict[str, str]) -> str:
    file, problem = next(iter(skipped.items()))
    return f"{file} ({problem})"


def _dataset(name: str, layout: Layout, parts: dict[str, list], skipped: dict[str, str], split: str) -> Dataset:
    names = layout.class_names
    digest = hashlib.sha256("\n".join(f"{s} {c} {p.sha256}" for s, part in parts.items() for c, p in part).encode())
    class_counts = Counter(c for c, _ in parts["train"])
    info = Info(
        name=name,
        source=f"your own images in {layout.root}",
        licence=OWN,
        homepage=str(layout.root),
        features={"image": "JPEG, PNG, GIF or BMP bytes", "label": f"int64, 0 to {len(names) - 1}", "file": "string"},
        counts={s: len(part) for s, part in parts.items()},
        class_names=names,
        statistics={
            "class_counts": {c: class_counts[c] for c in names},
            "image_shape": index.common_shape(image for _, image in parts["train"]),
        },
        sha256={"pictures": digest.hexdigest()},
        split=split,
        skipped=skipped,
    )
    return Dataset(**{s: _examples(layout.root, part, names) for s, part in parts.items()}, info=info)


def _examples(root: Path, part: Sequence[tuple[str, ImageFile]], names: tuple[str, ...]) -> tf.data.Dataset:
    label_of = {name: i for i, name in enumerate(names)}
    paths = tf.constant(np.array([str(p.path) for _, p in part], object))
    labels = tf.constant([label_of[c] for c, _ in part], tf.int64)
    files = tf.constant(np.array([stratified_split.display_path(root, p.path) for _, p in part], object))
    return tf.data.Dataset.from_tensor_slices((paths, labels, files)).map(
        lambda path, label, file: {"image": tf.io.read_file(path), "label": label, "file": file}
    )
