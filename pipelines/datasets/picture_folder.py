"""Images without labels: any folder of photographs, with any sub-folders.

Sources:   data_dir (every image below it), the photographs of the installed scikit-image and scikit-learn, TFDS
           oxford_flowers102.
Features:  {"image": JPEG, PNG, GIF or BMP bytes}.
Splits:    by the contents of the files, 70/15/15 or the given percentages.
Licence:   yours; those of scikit-image are public domain or CC0, those of scikit-learn CC BY 2.0.
"""

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.datasets import oxford_flowers102
from pipelines.images import class_folders, index, stratified_split
from pipelines.sources import search, storage
from zoobase.errors import MISSING, USAGE, DataError, SourceUnavailable
from zoobase.files import cache_root

NAME = "picture_folder"
HINT = "--data-dir FOLDER with photographs of your own, or pip install scikit-image, which contains some"
INSTALLED = {  # package -> its photographs, below the package's folder
    "skimage": ("data", ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "brick.png", "grass.png")),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
}


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        root = Path(data_dir).expanduser().absolute()
        if not root.exists():
            raise DataError(f"there is no folder {root}", MISSING)
        if not root.is_dir():
            raise DataError(f"{root} is a file; --data-dir needs a folder of photographs", USAGE)
        paths = list(class_folders.files_below(root))
        return read(f"your own images in {root}", root, paths, OWN, split, cache_dir)
    installed = "photographs of scikit-image and scikit-learn"
    sources = [
        search.Source(
            installed,
            _installed,
            lambda: read(installed, Path("/"), _installed(), "CC0 and CC-BY-2.0", split, cache_dir),
        ),
        search.Source("TFDS oxford_flowers102", lambda: None, lambda: _flowers(cache_dir, split)),
    ]
    return search.search(NAME, sources, HINT)[1]


def _installed() -> list[Path]:
    paths = []
    for package, (folder, names) in INSTALLED.items():
        spec = importlib.util.find_spec(package)
        roots = [Path(place) / folder for place in (spec and spec.submodule_search_locations) or ()]
        paths += [root / name for root in roots for name in names if (root / name).is_file()]
    if len(paths) < 5:
        raise SourceUnavailable(f"{len(paths)} are installed, too few to be split")
    return paths


def _flowers(cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    try:
        return oxford_flowers102.load(None, cache_dir, split)
    except DataError as error:
        raise SourceUnavailable(str(error)) from error


def read(
    source: str, root: Path, paths: Sequence[Path], licence: str, split: str, cache_dir: str | os.PathLike | None
) -> Dataset:
    """Return the images of files as a dataset, divided by their contents."""
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares) or stratified_split.DEFAULT
    images = index.read(paths, cache_root(cache_dir))
    skipped = {stratified_split.display_path(root, p.path): p.problem for p in images.values() if p.problem}
    usable = list({p.sha256: p for p in images.values() if not p.problem}.values())
    if len(usable) < 3:
        raise DataError(f"{root} has {len(usable)} images that can be read: at least three are needed", MISSING)
    if skipped:
        storage.log.info("%s: %d of %d files are skipped", NAME, len(skipped), len(images))
    parts = stratified_split.divide(root, {"": {"": usable}}, policy, skipped, grouping)
    ordered = {s: sorted((p for _, p in part), key=lambda p: p.sha256) for s, part in parts.items()}
    digest = hashlib.sha256("\n".join(f"{s} {p.sha256}" for s, part in ordered.items() for p in part).encode())
    info = Info(
        name=NAME,
        source=source,
        licence=licence,
        homepage=str(root),
        features={"image": "JPEG, PNG, GIF or BMP bytes"},
        counts={s: len(part) for s, part in ordered.items()},
        statistics={"image_shape": index.common_shape(ordered["train"])},
        sha256={"pictures": digest.hexdigest()},
        split=split,
        skipped=skipped,
    )
    files = {s: tf.data.Dataset.from_tensor_slices([str(p.path) for p in part]) for s, part in ordered.items()}
    return Dataset(**{s: f.map(lambda path: {"image": tf.io.read_file(path)}) for s, f in files.items()}, info=info)
