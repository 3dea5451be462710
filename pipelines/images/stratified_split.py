"""Stratified splits of checked images: by contents, class by class, with every image in one split."""

from __future__ import annotations

import os
from pathlib import Path

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
    root: Path, files: FilesByClass, policy: tuple[int, int, int] | None, skipped: dict[str, str]
) -> dict[str, list]:
    """Return split -> [(class, image)], stratified, with equal contents in one split."""
    if policy is not None or "" in files:
        pooled: dict[str, list[ImageFile]] = {}
        for by_class in files.values():
            for name, images in by_class.items():
                pooled.setdefault(name, []).extend(images)
        return _divide_classes(pooled, policy or DEFAULT)
    _drop_leaks(root, files, skipped)
    parts = {s: [(c, p) for c, images in files.get(s, {}).items() for p in images] for s in FOLDERS}
    missing_shares = tuple(0 if parts[s] else share for s, share in zip(FOLDERS, DEFAULT, strict=True))
    if any(missing_shares[1:]):
        missing = [s for s, share in zip(FOLDERS, missing_shares, strict=True) if share]
        log.info("%s has no images for %s: taken from train", root, " and ".join(missing))
        parts |= {
            s: p
            for s, p in _divide_classes(files["train"], (100 - sum(missing_shares[1:]), *missing_shares[1:])).items()
            if s in (*missing, "train")
        }
    return parts


def _drop_leaks(root: Path, files: FilesByClass, skipped: dict[str, str]) -> None:
    """Remove from train images that are in validation or test too, and from validation those in test."""
    split_of: dict[str, str] = {}
    for split in ("test", "validation", "train"):
        leaks = 0
        for images in files.get(split, {}).values():
            for image in [p for p in images if split_of.get(p.sha256, split) != split]:
                skipped[display_path(root, image.path)] = f"the same image is in {split_of[image.sha256]}"
                images.remove(image)
                leaks += 1
        split_of |= {
            p.sha256: split for images in files.get(split, {}).values() for p in images if p.sha256 not in split_of
        }
        if leaks:
            log.info("%s: %d images of %s are in another split too and are skipped", root, leaks, split)


def _divide_classes(by_class: dict[str, list[ImageFile]], shares: tuple[int, int, int]) -> dict[str, list]:
    """Divide each class by shares in the order of the digests of contents, so that equal contents stay together."""
    parts: dict[str, list] = {s: [] for s in FOLDERS}
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


def display_path(root: Path, path: Path) -> str:
    """Return a path for messages: relative to the root if it is below it."""
    return str(path).removeprefix(f"{str(root).rstrip(os.sep)}{os.sep}")
