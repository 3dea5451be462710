"""1,797 handwritten digits of 13 people, 8x8 grey images: the part of UCI's optdigits in scikit-learn.

Reference: Alpaydin, Kaynak 1998, doi:10.24432/C50P49 (UCI dataset 80, its test part). Licence: CC BY 4.0.
Sources:   scikit-learn, which contains it.
Features:  {"image": PNG bytes, "label": int64}; the 17 shades are spread over [0, 255].
Splits:    "official" is defined here: 70/15/15 in the order of the file, in which digits of one writer are adjacent, so
           that most writers of the test are not in training. Percentages divide all digits in that order.
"""

from __future__ import annotations

import io
import os

import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import USAGE, DataError
from pipelines.sources import storage
from pipelines.sources.mnist_family import pixel_statistics

NAME = "digits"
OFFICIAL = (70, 15, 15)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    from sklearn.datasets import load_digits

    policy = splits.percentages(split) or OFFICIAL
    if data_dir is not None:
        raise DataError(f"{NAME} is part of scikit-learn and reads no folder; omit --data-dir", USAGE)
    bunch = load_digits()
    source = "installed Python package scikit-learn"
    storage.log.info("%s: %s", NAME, source)
    shades = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images, labels = np.array([_png(image) for image in shades]), bunch.target.astype(np.int64)
    first, second = splits.bounds(policy, len(labels))
    parts = {
        name: tf.data.Dataset.from_tensor_slices({"image": images[cut], "label": labels[cut]})
        for name, cut in (
            ("train", slice(0, first)),
            ("validation", slice(first, second)),
            ("test", slice(second, None)),
        )
    }
    info = Info(
        name=NAME,
        source=source,
        licence="CC-BY-4.0",
        homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        features={"image": "uint8 (8, 8, 1), PNG bytes", "label": "int64, 0 to 9"},
        counts={name: int(part.cardinality()) for name, part in parts.items()},
        class_names=tuple(map(str, bunch.target_names)),
        statistics=pixel_statistics(parts["train"]),
        split=split,
    )
    return Dataset(**parts, info=info)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
