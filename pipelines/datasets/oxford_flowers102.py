"""Oxford Flowers 102: 8,189 photographs of 102 British flowers.

Reference: Nilsback, Zisserman 2008, "Automated flower classification over a large number of classes".
Sources:   data_dir (a TFDS folder, or your own images in folders), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes, "label": int64, "file": string}.
Splits:    "official" has 1,020 for train, 1,020 for validation and 6,149 for test.
Licence:   not stated by the publisher; for research.
"""

from __future__ import annotations

import os

from pipelines.dataset import Dataset
from pipelines.images import tfds_images

NAME = "oxford_flowers102"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    official = {"train": "train", "validation": "validation", "test": "test"}
    return tfds_images.load(NAME, data_dir, cache_dir, split, official, "not stated, for research")
