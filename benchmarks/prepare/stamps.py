"""Write 324 photographs and drawings of Tux Paint in eight classes, as five folders for cross-validation.

    python -m benchmarks.prepare.stamps FOLDER        # FOLDER/0 to FOLDER/4, each with train, valid and test
    python -m zoo.train flowers --data-dir FOLDER/0 --precision float32 --no-export

They are PNG files of different sizes, most of them transparent, of the Debian package tuxpaint-stamps-default
(GPL-2); each is in the test part of one folder. Drawings that are marked as cartoons, toys and mirrored images are left
out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from pipelines.sources import packages, search

PACKAGE = packages.Debian("tuxpaint-stamps-default", "/usr/share/tuxpaint/stamps")
CLASSES = {
    "birds": "animals/birds",
    "mammals": "animals/mammals",
    "fruit": "food/fruit",
    "vegetables": "food/vegetables",
    "flowers": "plants/flowers",
    "clothes": "clothes",
    "household": "household",
    "vehicles": "vehicles",
}
LEFT_OUT = ("cartoon", "mirror", "toys")
FOLDS = 5


def main(target: str) -> None:
    """Write the folders."""
    source, counts = search.search("stamps", PACKAGE.sources(lambda root: write(root, Path(target))), "apt-get")
    print(f"{source}: {counts}")


def write(root: Path, target: Path) -> dict[str, int]:
    """Divide the stamps below `root`, and return how many each class has."""
    random, counts = np.random.default_rng(0), {}
    for name, folder in sorted(CLASSES.items()):
        files = [path for path in (root / folder).rglob("*.png") if not any(part in str(path) for part in LEFT_OUT)]
        files.sort(key=lambda path: f"{path.parent.name}_{path.name}")
        parts, counts[name] = np.empty(len(files), int), len(files)
        parts[random.permutation(len(files))] = np.arange(len(files)) % FOLDS
        for fold in range(FOLDS):
            splits = {fold: "test", (fold + 1) % FOLDS: "valid"}
            for file, part in zip(files, parts, strict=True):
                copy = target / str(fold) / splits.get(int(part), "train") / name / f"{file.parent.name}_{file.name}"
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    return counts


if __name__ == "__main__":
    main(sys.argv[1])
