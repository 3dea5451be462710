"""Fashion-MNIST: 70,000 grey images of clothes, 28x28, ten classes.

Reference: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747.
Sources:   data_dir (the four .gz idx files, a TFDS folder, or your own images, one sub-folder per class), the prepared
           cache, the installed Debian package
           dataset-fashion-mnist, TFDS download, the Debian package without root. All use the builder of TFDS.
Features:  {"image": PNG bytes, "label": int64}.
Splits:    "official" keeps the official test set and takes the last twelfth of train (5,000) for validation.
Licence:   MIT.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images.tfds_images import load_classes
from pipelines.sources import packages, search, storage
from pipelines.sources.mnist_family import ONCE, Family
from zoobase.files import cache_root

PACKAGE = "dataset-fashion-mnist"
SYSTEM = Path("/usr/share/datasets/fashion-mnist")
HINT = f"sudo apt-get install {PACKAGE} (or --data-dir with the four .gz files of the publisher)"
FAMILY = Family(
    "fashion_mnist",
    "MIT",
    {  # Debian repacks the files without name and time
        "train-images-idx3-ubyte.gz": 1504176606,
        "train-labels-idx1-ubyte.gz": 1504176606,
        "t10k-images-idx3-ubyte.gz": 1504176627,
        "t10k-labels-idx1-ubyte.gz": 1504176627,
    },
)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None and FAMILY.has_classes(data_dir):
        return load_classes(data_dir, cache_dir, split)
    return load_garments(data_dir, cache_dir, split)


def load_garments(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """Load Fashion-MNIST, or the user's own files of its format."""
    splits.percentages(split)  # raises before anything is prepared
    cache = cache_root(cache_dir) / FAMILY.name
    if data_dir is None:
        source, builder = _search(cache)
    else:
        source, builder = FAMILY.user(Path(data_dir).expanduser().absolute(), cache)
        storage.log.info("%s: %s", FAMILY.name, source)
    return FAMILY.dataset(builder, source, split, cache)


def _search(cache: Path) -> tuple[str, Any]:
    ready = cache / "official"

    def make_sources() -> list[search.Source[Any]]:
        return [
            search.Source(
                f"installed package folder {SYSTEM}",
                lambda: search.check_exists(SYSTEM),
                lambda: FAMILY.prepare_official(ready, SYSTEM),
                ONCE,
            ),
            FAMILY.download(ready),
            search.Source(f"Debian package {PACKAGE}", packages.has_apt, lambda: _prepare_debian(ready), ONCE),
        ]

    return search.load_prepared(FAMILY.name, {ready: FAMILY.official_builder}, make_sources, HINT)


def _prepare_debian(target: Path) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        root = packages.fetch_debian(PACKAGE, Path(folder))
        return FAMILY.prepare_official(target, root / SYSTEM.relative_to("/"))
