"""Photographs of eight kinds of things, cut out, from the stamps of the drawing program Tux Paint: a small, real set.

227 PNG files of 32 to 2,348 pixels a side, most of them transparent around the thing: 35 birds, 11 fish and other
animals of the sea, 25 flowers, 26 fruits, 31 things of the household, 64 mammals, 18 vegetables and 17 vehicles. Stamps
with a drawing (an SVG file) of the same name, cartoons, toys and flipped ones are left out; one mammal is drawn.

Sources:   data_dir (your own images, as in image_folder), the prepared cache, the Debian package
           tuxpaint-stamps-default, installed or downloaded without root.
Features:  {"image": PNG bytes, "label": int64, "file": path below the folder}.
Splits:    "official" is defined here: 70/15/15 of each class, by the contents of the files, as of other percentages.
Licence:   GPL-2.
"""

import dataclasses
import os
import shutil
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.images import class_folders
from pipelines.sources import packages

NAME = "stamps"
PACKAGE = packages.Debian("tuxpaint-stamps-default", "/usr/share/tuxpaint/stamps")
CLASSES = {  # class -> folder of the package
    "bird": "animals/birds",
    "fish": "animals/fish",
    "flower": "plants/flowers",
    "fruit": "food/fruit",
    "household": "household",
    "mammal": "animals/mammals",
    "vegetable": "food/vegetables",
    "vehicle": "vehicles",
}
LEFT_OUT = ("cartoon", "mirror", "toys")
HINT = (
    "sudo apt-get install tuxpaint-stamps-default, on Debian; elsewhere --data-dir FOLDER with photographs of your own"
)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        return class_folders.load(NAME, data_dir, cache_dir, split)
    source, folder = PHOTOGRAPHS.load(cache_dir)
    dataset = class_folders.load(NAME, folder, cache_dir, split)
    homepage = "https://tuxpaint.org/stamps"
    info = dataclasses.replace(dataset.info, source=source, licence="GPL-2", homepage=homepage)
    return dataclasses.replace(dataset, info=info)


def _write(folder: Path, stage: Path) -> None:
    for name, below in CLASSES.items():
        (stage / name).mkdir()
        for file in sorted((folder / below).rglob("*.png")):
            if not file.with_suffix(".svg").exists() and not any(part in str(file) for part in LEFT_OUT):
                shutil.copyfile(file, stage / name / f"{file.parent.name}_{file.name}")


PHOTOGRAPHS = packages.PackageData(NAME, "photographs", PACKAGE, _write, lambda folder: folder, HINT)
