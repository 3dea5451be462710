"""Stratified splits of checked images: by contents, class by class, with every image in one split."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images.index import ImageFile
from pipelines.sources.storage import log

FOLDERS = {  # split -> names of its folder
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
DEFAULT = (70, 15, 15)  # percentages, for folders without splits

FilesByClass = dict[str, dict[str, list[ImageFile]]]  # split -> class -> images


def drop_contradictions(root: Path, files: FilesByClass, skipped: dict[str, str]) -> None:
    """Remove images that are in two classes, because one of the labels is wrong."""
    classes: dict[str, set[str]] = {}
    for by_class in files.values():
        for name, images in by_class.items():
            for image in images:
                classes.setdefault(image.sha256, set()).add(name)
    for by_class in files.values():
        for name, images in by_class.items():
            for image in [p for p in images if len(classes[p.sha256]) > 1]:
                others = ", ".join(sorted(classes[image.sha256] - {name}))
                skipped[display_path(root, image.path)] = f"the same image is in the class {others}"
                images.remove(image)


def divide(
    root: Path,
    files: FilesByClass,
    policy: tuple[int, int, int] | None,
    skipped: dict[str, str],
    grouping: splits.Grouping | None = None,
) -> dict[str, list]:
    """Return split -> [(class, image)], stratified, with equal contents, and all images of a group, in one split."""
    key = _keys(root, files, grouping)
    if policy is not None or "" in files:
        pooled: dict[str, list[ImageFile]] = {}
        for by_class in files.values():
            for name, images in by_class.items():
                pooled.setdefault(name, []).extend(images)
        return _divide_classes(pooled, policy or DEFAULT, key)
    _drop_leaks(root, files, skipped, key)
    parts = {s: [(c, p) for c, images in files.get(s, {}).items() for p in images] for s in FOLDERS}
    missing_shares = tuple(0 if parts[s] else share for s, share in zip(FOLDERS, DEFAULT, strict=True))
    if any(missing_shares[1:]):
        missing = [s for s, share in zip(FOLDERS, missing_shares, strict=True) if share]
        log.info("%s has no images for %s: taken from train", root, " and ".join(missing))
        shares = (100 - sum(missing_shares[1:]), *missing_shares[1:])
        divided = _divide_classes(files["train"], shares, key)
        parts |= {s: part for s, part in divided.items() if s in (*missing, "train")}
    return parts


def _keys(root: Path, files: FilesByClass, grouping: splits.Grouping | None) -> dict[Path, str]:
    """Return what images have in common that are in the same split: their group, without one their contents."""
    images = [image for by_class in files.values() for part in by_class.values() for image in part]
    if grouping is None:
        return {image.path: image.sha256 for image in images}
    group_of: dict[str, str] = {}  # contents -> group: the same image in two groups is of the first
    for image in images:
        group_of.setdefault(image.sha256, grouping.of_file(display_path(root, image.path)))
    return {image.path: group_of[image.sha256] for image in images}


def _drop_leaks(root: Path, files: FilesByClass, skipped: dict[str, str], key: Mapping[Path, str]) -> None:
    """Remove from train images that are in validation or test too, or their group; from validation those in test."""
    split_of: dict[str, str] = {}
    for split in ("test", "validation", "train"):
        leaks = 0
        for images in files.get(split, {}).values():
            for image in [p for p in images if split_of.get(key[p.path], split) != split]:
                other, what = split_of[key[image.path]], key[image.path]
                is_same = what == image.sha256
                skipped[display_path(root, image.path)] = f"{'the same image' if is_same else what} is in {other}"
                images.remove(image)
                leaks += 1
        for image in (p for images in files.get(split, {}).values() for p in images):
            split_of.setdefault(key[image.path], split)
        if leaks:
            log.info("%s: %d images of %s are in another split too and are skipped", root, leaks, split)


def _divide_classes(
    by_class: dict[str, list[ImageFile]], shares: tuple[int, int, int], key: Mapping[Path, str]
) -> dict[str, list]:
    """Divide each class by shares in the order of the digests of contents, or all classes by groups."""
    parts: dict[str, list] = {s: [] for s in FOLDERS}
    pairs = [(name, image) for name, images in sorted(by_class.items()) for image in images]
    if any(key[image.path] != image.sha256 for _, image in pairs):
        names, images = zip(*pairs, strict=True)
        split = splits.of_groups([key[image.path] for image in images], names, shares)
        for pair, i in zip(pairs, split, strict=True):
            parts[(*FOLDERS,)[i]].append(pair)
        return parts
    for name, images in sorted(by_class.items()):
        contents = sorted({p.sha256 for p in images})
        count = len(contents)
        sizes = [max(1, round(count * share / 100)) if share and count >= 3 else 0 for share in shares[1:]]
        ends = (count - sum(sizes), count - sizes[1])
        split_of = {
            c: "train" if i < ends[0] else "validation" if i < ends[1] else "test" for i, c in enumerate(contents)
        }
        for image in images:
            parts[split_of[image.sha256]].append((name, image))
    return parts


def with_groups(
    dataset: Dataset, root: Path, paths: Mapping[str, Sequence[Path]], grouping: splits.Grouping | None
) -> Dataset:
    """Return a dataset whose examples carry the groups of their files, by split; as it is without a grouping."""
    if grouping is None:
        return dataset
    groups = {s: [grouping.of_file(display_path(root, path)) for path in part] for s, part in paths.items()}
    return splits.with_groups(dataset, groups, splits.kept_together(dataset.info.split))


def display_path(root: Path, path: Path) -> str:
    """Return a path for messages: relative to the root if it is below it."""
    return str(path).removeprefix(f"{str(root).rstrip(os.sep)}{os.sep}")
