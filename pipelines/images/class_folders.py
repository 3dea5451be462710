"""Folders of pictures: one sub-folder a class, or train, validation and test with such sub-folders.

What is asked of a stranger's folder is what the file names promise; what is read is checked once, and remembered.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import MISSING, USAGE, DataError
from pipelines.images import index, stratified_split
from pipelines.images.index import Picture
from pipelines.sources.storage import cache_root, log

MOST_SKIPPED = 0.1  # share of files that may be unreadable before it is the folder that is wrong
_IGNORED = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what systems leave behind; and all that begins with a dot


@dataclass(frozen=True)
class Layout:
    """What a folder says by its names: split ("" where it has none) -> class -> files, in order."""

    root: Path
    files: dict[str, dict[str, list[Path]]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all splits, in alphabetical order."""
        return tuple(sorted({name for classes in self.files.values() for name in classes}))


def load(
    name: str, folder: str | os.PathLike, cache_dir: str | os.PathLike | None = None, split: str = "official"
) -> Dataset:
    """Read a folder of pictures.

    Examples are {"image": encoded bytes, "label": int64, "file": path below the folder}. Every file is decoded once to
    find the damaged ones, which are left out and named in `info.skipped`; the same picture never is in two splits.

    Args:
        name: What the dataset is called.
        folder: One sub-folder a class, or train/, valid/ and test/ with such sub-folders. Splits that are missing are
            taken from train, by the contents of the files, so that names and order do not matter.
        cache_dir: Where the results of the check are remembered.
        split: "official" (the folder's own, else 70/15/15), or percentages of all pictures such as "60/20/20".

    Returns:
        Splits in the order of the contents' digests, which is as good as shuffled.

    Raises:
        DataError: It is no such folder, a class is or becomes empty, there are less than two, or too much is
            unreadable.
    """
    policy = splits.percentages(split)
    root = Path(folder).expanduser().absolute()
    layout = find(root)
    pictures = index.read([p for c in layout.files.values() for f in c.values() for p in f], cache_root(cache_dir))
    skipped = {stratified_split.below(root, p.path): p.problem for p in pictures.values() if p.problem}
    _check_share(root, skipped, len(pictures))
    held = {s: {c: [pictures[p] for p in files] for c, files in k.items()} for s, k in layout.files.items()}
    held = {s: {c: [p for p in files if not p.problem] for c, files in k.items()} for s, k in held.items()}
    stratified_split.drop_contradictions(root, held, skipped)
    parts = stratified_split.divide(root, held, policy, skipped)
    for part, sentence in ((parts["train"], "training"), (parts["validation"], "validation"), (parts["test"], "test")):
        if not part:
            raise DataError(f"no {sentence} pictures are left in {root}: add some to each class", USAGE)
    if bare := set(layout.class_names) - {name for name, _ in parts["train"]}:
        lost = {file: why for file, why in skipped.items() if min(bare) in file.split("/")}
        raise DataError(
            f"no picture of the class {min(bare)!r} in {root} can be trained on, such as {_example(lost)}", USAGE
        )
    if skipped:
        log.info("%s: %d of %d files are left out, such as %s", name, len(skipped), len(pictures), _example(skipped))
    return _dataset(name, layout, parts, skipped, split)


def find(root: Path) -> Layout:
    """Read the layout of a folder from its names alone.

    Raises:
        DataError: It is no folder of classes; the sentence says what is there instead.
    """
    if not root.exists():
        raise DataError(f"there is no folder {root}", MISSING)
    if not root.is_dir():
        raise DataError(f"{root} is a file; --data-dir wants a folder with one sub-folder a class", USAGE)
    below = _folders(root)
    if len(below) == 1 and not _named(below) and _folders(below[0]) and not any(files_below(below[0], deep=False)):
        return find(below[0])  # what unpacking an archive leaves: photos/photos/...
    named = _named(below)
    if named and "train" not in named and len(named) == len(below):
        raise DataError(
            f"{root} has {' and '.join(f.name for f in named.values())}, but no train: add it, or put the pictures of "
            "each class into one sub-folder",
            USAGE,
        )
    parts = named if "train" in named else {"": root}
    files = {split: _classes(path) for split, path in parts.items()}
    layout = Layout(root, files)
    _check_classes(layout)
    return layout


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    return {
        s: f
        for s, names in stratified_split.FOLDERS.items()
        for f in folders
        if f.name.lower() in names and _folders(f)
    }


def _classes(folder: Path) -> dict[str, list[Path]]:
    return {below.name: sorted(files_below(below)) for below in _folders(folder)}


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _ignored(p))


def files_below(folder: Path, deep: bool = True) -> Iterator[Path]:
    """Yield the files in a folder, and with `deep` in all folders below it, but not what systems leave behind."""
    for path in folder.rglob("*") if deep else folder.iterdir():
        if path.is_file() and not any(_ignored(Path(part)) for part in path.relative_to(folder).parts):
            yield path


def _ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name in _IGNORED


def _check_classes(layout: Layout) -> None:
    root, names = layout.root, layout.class_names
    if not any(files_below(root)):
        raise DataError(f"there are no files in {root}; --data-dir wants one sub-folder of pictures a class", MISSING)
    if not names:
        loose = sum(1 for _ in files_below(root, deep=False))
        raise DataError(
            f"{root} has {loose} files but no sub-folders: put the pictures of each class into a sub-folder", USAGE
        )
    if len(names) == 1:
        raise DataError(f"{root} has the one class {names[0]!r}: there must be at least two sub-folders", USAGE)
    for split, classes in layout.files.items():
        where = f"{root / split}" if split else f"{root}"
        empty = [c for c in names if not classes.get(c)] if split == "train" else [c for c in classes if not classes[c]]
        if empty and split in ("", "train"):
            raise DataError(f"the class {empty[0]!r} has no pictures in {where}: add some, or remove the folder", USAGE)


def _check_share(root: Path, skipped: dict[str, str], count: int) -> None:
    if len(skipped) > MOST_SKIPPED * count:
        raise DataError(
            f"{len(skipped)} of {count} files in {root} cannot be read, more than {MOST_SKIPPED:.0%}: "
            f"{_example(skipped)}"
        )


def _example(skipped: dict[str, str]) -> str:
    file, problem = next(iter(skipped.items()))
    return f"{file} ({problem})"


def _dataset(name: str, layout: Layout, parts: dict[str, list], skipped: dict[str, str], split: str) -> Dataset:
    names = layout.class_names
    parts = {s: sorted(p, key=lambda pair: (pair[1].sha256, pair[1].path)) for s, p in parts.items()}
    digest = hashlib.sha256("\n".join(f"{s} {c} {p.sha256}" for s, part in parts.items() for c, p in part).encode())
    counted = Counter(c for c, _ in parts["train"])
    info = Info(
        name=name,
        source=f"your own pictures in {layout.root}",
        licence="your own data",
        homepage=str(layout.root),
        features={"image": "JPEG, PNG, GIF or BMP bytes", "label": f"int64, 0 to {len(names) - 1}", "file": "string"},
        counts={s: len(part) for s, part in parts.items()},
        class_names=names,
        statistics={"class_counts": {c: counted[c] for c in names}},
        sha256={"pictures": digest.hexdigest()},
        split=split,
        skipped=skipped,
    )
    return Dataset(**{s: _examples(layout.root, part, names) for s, part in parts.items()}, info=info)


def _examples(root: Path, part: Sequence[tuple[str, Picture]], names: tuple[str, ...]) -> tf.data.Dataset:
    place = {name: i for i, name in enumerate(names)}
    paths = [str(p.path) for _, p in part]
    labels = tf.constant([place[c] for c, _ in part], tf.int64)
    files = [stratified_split.below(root, p.path) for _, p in part]
    return tf.data.Dataset.from_tensor_slices((paths, labels, files)).map(
        lambda path, label, file: {"image": tf.io.read_file(path), "label": label, "file": file}
    )
