"""1,797 handwritten digits of 13 people, 8x8 grey pictures: what scikit-learn carries of UCI's optdigits.

Reference: Alpaydin, Kaynak 1998, doi:10.24432/C50P49 (UCI dataset 80, its test part). Licence: CC BY 4.0.
Sources:   scikit-learn, which carries it.
Features:  {"image": PNG bytes, "label": int64}; the 17 shades are spread over [0, 255].
Splits:    "official" is ours: 70/15/15 in the order of the file, in which digits of one hand stand together, so that
           the test is mostly of hands that training has not seen. Percentages divide all of it in that order.
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
from pipelines.sources.mnist_family import measure

NAME = "digits"
OFFICIAL = (70, 15, 15)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    from sklearn.datasets import load_digits

    policy = splits.percentages(split) or OFFICIAL
    if data_dir is not None:
        raise DataError(f"{NAME} comes with scikit-learn and reads no folder; leave out --data-dir", USAGE)
    found = load_digits()
    source = "installed Python package scikit-learn"
    storage.log.info("%s: %s", NAME, source)
    shades = np.round(found.images * (255 / 16)).astype(np.uint8)
    pictures, labels = np.array([_png(image) for image in shades]), found.target.astype(np.int64)
    first, second = splits.bounds(policy, len(labels))
    parts = {
        name: tf.data.Dataset.from_tensor_slices({"image": pictures[cut], "label": labels[cut]})
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
        class_names=tuple(map(str, found.target_names)),
        statistics=measure(parts["train"]),
        split=split,
    )
    return Dataset(**parts, info=info)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
