"""Photographs of the desktop wallpapers of two Debian packages, and two of these images as styles.

Sources:   data_dir (any folder of photographs), the prepared cache, the Debian packages budgie-backgrounds and
           lomiri-wallpapers-16.04, each installed or downloaded without root.
Features:  {"image": JPEG bytes}, 1,365 to 5,184 pixels wide.
Splits:    by the contents of the files, 70/15/15 or the given percentages.
Styles:    "ocean-waves" (a woodblock print by Uehara Konen, about 1910) and "casa-mila" (a photograph of its
           courtyard); they are in no split.
Licence:   budgie-backgrounds CC0-1.0, those of lomiri-wallpapers-16.04 that are used CC-BY-4.0 or CC0-1.0 (by Aitzol
           Berasategi, Clemens Engelhardt, Jakub Mede and Trevor "Freespace"). Drawings, and photographs under other
           licences, are left out.
"""

import dataclasses
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.datasets import picture_folder
from pipelines.sources import packages, search, storage
from zoobase.errors import DataError
from zoobase.files import cache_root

NAME = "wallpapers"
BUDGIE = packages.Debian(
    "budgie-backgrounds",
    "/usr/share/backgrounds/budgie",
    sha256="b91c2d5209558bc11d8d3a161f22a608857e3f8c735980cfab0d6650b03014ca",
)
LOMIRI = packages.Debian(
    "lomiri-wallpapers-16.04",
    "/usr/share/backgrounds",
    sha256="f74676719f9d0128e5310e65ef97d596bcece8b6a43524ab8949ee1be0a4f18c",
)
STYLES = ("ocean-waves", "casa-mila")
PICTURES = {  # package -> the files of each kind
    BUDGIE: {
        "photographs": (
            "abstract-spiral",
            "beacon-street-sunset",
            "blue-periwinkle",
            "canyon-wren",
            "extreme-desert-hike",
            "high-trestle-trail",
            "lake-sherburne",
            "oakland-zoo-otters",
            "perched-osprey",
            "piazza-gae-aulenti",
            "roman-colosseum",
            "saturnian-profile",
            "singaporean-cityscape",
            "tea-gardens",
        ),
        "styles": STYLES,
    },
    LOMIRI: {
        "photographs": (
            "Picture_0B_by_freespace",
            "Picture_1A_by_freespace",
            "Wine_by_Jakkub_Mede",
            "aitzgorri_by_Aitzol_Berasategi",
            "friends_by_Aitzol_Berasategi",
            "life_by_Aitzol_Berasategi",
            "picosdeeuropa_by_Aitzol_Berasategi",
            "seeding_by_Clements_Engelhardt",
            "sunset_by_Aitzol_Berasategi",
        )
    },
}
HINT = (
    "sudo apt-get install budgie-backgrounds lomiri-wallpapers-16.04, on Debian; elsewhere --data-dir FOLDER with "
    "photographs of your own, and for style_transfer --style IMAGE"
)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        return picture_folder.load(data_dir, cache_dir, split)
    source, folder = _prepared(cache_dir)
    licence = "CC0-1.0 and CC-BY-4.0"
    data = picture_folder.read(source, folder, sorted((folder / "photographs").iterdir()), licence, split, cache_dir)
    homepage = "https://github.com/BuddiesOfBudgie/budgie-backgrounds, https://gitlab.com/ubports"
    return dataclasses.replace(data, info=dataclasses.replace(data.info, name=NAME, homepage=homepage))


def style(name: str) -> Path:
    """Return the file of one of the `STYLES`; see `load` for the sources and errors."""
    return _prepared(None)[1] / "styles" / f"{name}.jpg"


def _prepared(cache_dir: str | os.PathLike | None) -> tuple[str, Path]:
    """Return the source, and the folder with the sub-folders photographs and styles."""
    target = cache_root(cache_dir) / NAME / "pictures"
    both = search.Source("two packages of wallpapers", lambda: None, lambda: _prepare(target))
    return search.load_prepared(NAME, {target: lambda folder: folder}, lambda: [both], HINT)


def _prepare(target: Path) -> Path:
    with storage.staged(target) as stage:
        for package, pictures in PICTURES.items():
            search.search(NAME, package.sources(functools.partial(_copy, pictures, stage)), HINT)
    return target


def _copy(pictures: Mapping[str, Sequence[str]], stage: Path, folder: Path) -> None:
    for kind, names in pictures.items():
        (stage / kind).mkdir(exist_ok=True)
        for name in names:
            file = folder / f"{name}.jpg"
            if not file.is_file():
                raise DataError(f"{folder} has no {file.name}: it is of another version of the package")
            shutil.copyfile(file, stage / kind / file.name)
