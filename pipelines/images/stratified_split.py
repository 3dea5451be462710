"""How checked pictures become train, validation and test: by contents, class by class, no picture on two sides."""

from __future__ import annotations

from pathlib import Path

from pipelines.images.index import Picture
from pipelines.sources.storage import log

FOLDERS = {  # split -> how people call its folder
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
DEFAULT = (70, 15, 15)  # percentages, where the folder has no splits of its own

Held = dict[str, dict[str, list[Picture]]]  # split -> class -> pictures


def drop_contradictions(root: Path, held: Held, skipped: dict[str, str]) -> None:
    """Leave out pictures that stand in two classes: one of the labels is wrong, and nobody knows which."""
    classes: dict[str, set[str]] = {}
    for by_class in held.values():
        for name, pictures in by_class.items():
            for picture in pictures:
                classes.setdefault(picture.sha256, set()).add(name)
    for by_class in held.values():
        for name, pictures in by_class.items():
            for picture in [p for p in pictures if len(classes[p.sha256]) > 1]:
                others = ", ".join(sorted(classes[picture.sha256] - {name}))
                skipped[below(root, picture.path)] = f"the same picture is in the class {others}"
                pictures.remove(picture)


def divide(root: Path, held: Held, policy: tuple[int, int, int] | None, skipped: dict[str, str]) -> dict[str, list]:
    """Return split -> [(class, picture)], stratified, with equal contents on one side."""
    if policy is not None or "" in held:
        pooled: dict[str, list[Picture]] = {}
        for by_class in held.values():
            for name, pictures in by_class.items():
                pooled.setdefault(name, []).extend(pictures)
        return _cut(pooled, policy or DEFAULT)
    _drop_leaks(root, held, skipped)
    parts = {s: [(c, p) for c, pictures in held.get(s, {}).items() for p in pictures] for s in FOLDERS}
    wanted = tuple(0 if parts[s] else share for s, share in zip(FOLDERS, DEFAULT, strict=True))
    if any(wanted[1:]):
        missing = [s for s, share in zip(FOLDERS, wanted, strict=True) if share]
        log.info("%s has no pictures for %s: taken from train", root, " and ".join(missing))
        parts |= {
            s: p
            for s, p in _cut(held["train"], (100 - sum(wanted[1:]), *wanted[1:])).items()
            if s in (*missing, "train")
        }
    return parts


def _drop_leaks(root: Path, held: Held, skipped: dict[str, str]) -> None:
    """Leave out of train what is in validation or test too, and out of validation what is in test."""
    seen: dict[str, str] = {}
    for split in ("test", "validation", "train"):
        leaks = 0
        for pictures in held.get(split, {}).values():
            for picture in [p for p in pictures if seen.get(p.sha256, split) != split]:
                skipped[below(root, picture.path)] = f"the same picture is in {seen[picture.sha256]}"
                pictures.remove(picture)
                leaks += 1
        seen |= {p.sha256: split for pictures in held.get(split, {}).values() for p in pictures if p.sha256 not in seen}
        if leaks:
            log.info("%s: %d pictures of %s are in another split too and are left out", root, leaks, split)


def _cut(by_class: dict[str, list[Picture]], shares: tuple[int, int, int]) -> dict[str, list]:
    """Cut each class by shares; the order of the contents' digests decides, equal contents stay together."""
    parts: dict[str, list] = {s: [] for s in FOLDERS}
    for name, pictures in sorted(by_class.items()):
        contents = sorted({p.sha256 for p in pictures})
        count = len(contents)
        held = [max(1, round(count * share / 100)) if share and count >= 3 else 0 for share in shares[1:]]
        ends = (count - sum(held), count - held[1])
        place = {c: "train" if i < ends[0] else "validation" if i < ends[1] else "test" for i, c in enumerate(contents)}
        for picture in pictures:
            parts[place[picture.sha256]].append((name, picture))
    return parts


def below(root: Path, path: Path) -> str:
    """Return a path as it is told to people: below the folder that they named."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
