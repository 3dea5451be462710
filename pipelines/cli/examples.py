"""Examples of a dataset as an image grid, or as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import images
from pipelines.augment.preview import check_size, tile
from pipelines.dataset import Dataset, Info
from pipelines.images import masks

if TYPE_CHECKING:
    import tensorflow as tf

Example = Mapping[str, Any]  # feature -> NumPy value, bytes for strings
LONGEST = 300  # characters of a text


def choose(dataset: Dataset, count: int) -> list[Example]:
    """Return at most `count` training examples, evenly spaced in their order."""
    step = max(1, dataset.info.counts["train"] // count)
    return list(dataset.train.shard(step, 0).take(count).as_numpy_iterator())


def image_features(split: tf.data.Dataset) -> list[str]:
    """Return the features of the first example that are encoded images."""
    return [name for name, value in next(split.as_numpy_iterator()).items() if _is_image(value)]


def _is_image(value: Any) -> bool:
    try:
        images.header(value)
    except Exception:  # Pillow raises many kinds for what is no image
        return False
    return True


def grid(examples: Sequence[Example], features: Sequence[str], columns: int, size: int, fit: str) -> np.ndarray:
    """Return uint8 (H, W, 3): the images of each example side by side, `columns` examples a row."""
    check_size(len(examples) * len(features), size)

    def pixels(example: Example, feature: str) -> np.ndarray:
        if feature == "mask":
            return masks.palette()[images.decode_mask(example[feature], size, size, fit)]
        return images.decode(example[feature], size, size, 3, fit).numpy()

    cells = [pixels(example, feature) for example in examples for feature in features]
    width = min(columns, len(examples)) * len(features)
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % width)
    return tile(np.reshape(cells, (-1, width, size, size, 3)))


def as_rows(examples: Sequence[Example], info: Info) -> list[dict[str, str]]:
    """Return the features of each example as text; a label as the name of its class."""
    return [{name: _text(name, value, info) for name, value in example.items()} for example in examples]


def _text(name: str, value: Any, info: Info) -> str:
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    if np.ndim(value):
        return f"{np.asarray(value).dtype} {np.shape(value)}"
    if name == "label" and info.class_names:
        return info.class_names[int(value)]
    return f"{value:g}" if isinstance(value, np.floating) else str(value)
