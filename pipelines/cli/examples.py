"""Examples of a dataset as an image grid with captions, or as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines import images
from pipelines.augment.preview import GAP, check_size
from pipelines.dataset import Dataset, Info
from pipelines.images import masks

if TYPE_CHECKING:
    import tensorflow as tf

Example = Mapping[str, Any]  # feature -> NumPy value, bytes for strings
CAPTION = 16  # pixels of a caption
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


def grid(
    examples: Sequence[Example], features: Sequence[str], info: Info, columns: int, size: int, fit: str
) -> np.ndarray:
    """Return uint8 (H, W, 3): the images of each example side by side, with its class below."""
    check_size(len(examples) * len(features), size)
    labelled = bool(info.class_names) and "label" in examples[0]
    width, height = len(features) * size + GAP, size + GAP + (CAPTION if labelled else 0)
    rows = -(-len(examples) // columns)
    canvas = Image.new("RGB", (min(columns, len(examples)) * width - GAP, rows * height - GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(CAPTION - 4)
    for i, example in enumerate(examples):
        left, top = i % columns * width, i // columns * height
        for j, feature in enumerate(features):
            if feature == "mask":
                pixels = masks.palette()[images.decode_mask(example[feature], size, size, fit)]
            else:
                pixels = images.decode(example[feature], size, size, 3, fit).numpy()
            canvas.paste(Image.fromarray(pixels), (left + j * size, top))
        if labelled:
            draw.text(
                (left, top + size), _shortened(info.class_names[int(example["label"])], font, size), "black", font
            )
    return np.asarray(canvas)


def _shortened(text: str, font: Any, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


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
