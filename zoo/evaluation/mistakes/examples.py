"""Properties of examples by which they are grouped: of images, texts and the rows of a table."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.dataset import Info


def properties(examples: Sequence[Mapping[str, Any]], info: Info) -> dict[str, np.ndarray]:
    """Return what is known of each example without a model, (N,) each: brightness, size, length, columns."""
    if not examples:
        return {}
    if "image" in examples[0]:
        return _of_images([example["image"] for example in examples])
    if "text" in examples[0]:
        return {"words": np.array([len(example["text"].split()) for example in examples])}
    names = [column["name"] for column in info.statistics.get("columns", ())]
    return {name: np.array([_plain(example[name]) for example in examples]) for name in names}


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _of_images(images: Sequence[bytes]) -> dict[str, np.ndarray]:
    from PIL import Image

    rows = []
    for content in images:
        with Image.open(io.BytesIO(content)) as image:
            grey = np.asarray(image.convert("L"), np.float32)
            rows.append((grey.mean(), grey.std(), image.width * image.height))
    return dict(zip(("brightness", "contrast", "pixels"), np.array(rows).T, strict=True))
