"""TensorFlow Flowers: 3,670 photographs of daisies, dandelions, roses, sunflowers and tulips.

Sources:   data_dir (a TFDS folder, or your own images in folders), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes, "label": int64}.
Splits:    there is only a training set: "official" is its first 70 %, the next 15 % and the last 15 %.
Licence:   CC-BY 2.0, by the photographers.
"""

from __future__ import annotations

import os

from pipelines.dataset import Dataset
from pipelines.images import tfds_images

NAME = "tf_flowers"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    official = {"train": "train[:70%]", "validation": "train[70%:85%]", "test": "train[85%:]"}
    return tfds_images.load(NAME, data_dir, cache_dir, split, official, "CC-BY-2.0")
