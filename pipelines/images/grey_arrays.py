"""Grey images in memory as a dataset."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines.dataset import Dataset, Info
from pipelines.sources.mnist_family import pixel_statistics


def dataset(images: np.ndarray, labels: np.ndarray, rows: Mapping[str, np.ndarray], **about: str) -> Dataset:
    """Return a dataset of grey images in ten classes, with the features {"image": PNG bytes, "label": int64}.

    Args:
        images: uint8 (N, H, W).
        labels: Class numbers 0 to 9 (N,).
        rows: The indices of the examples of "train", "validation" and "test".
        **about: The other fields of `Info`: name, source, licence, homepage, split.
    """
    encoded, labels = np.array([_png(image) for image in images]), labels.astype(np.int64)
    parts = {
        name: tf.data.Dataset.from_tensor_slices({"image": encoded[indices], "label": labels[indices]})
        for name, indices in rows.items()
    }
    info = Info(
        **about,
        features={"image": f"uint8 {(*images.shape[1:], 1)}, PNG bytes", "label": "int64, 0 to 9"},
        counts={name: len(indices) for name, indices in rows.items()},
        class_names=tuple(map(str, range(10))),
        statistics=pixel_statistics(parts["train"]),
    )
    return Dataset(**parts, info=info)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
