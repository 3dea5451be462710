"""Lines of film reviews in fonts of Matplotlib, as images: what was written is known.

Sources:   those of movie_reviews for the texts; the fonts are those of the Python package matplotlib.
Features:  {"image": PNG bytes of a line, 24 to 64 pixels high, "text": UTF-8 string, of 1 to 40 characters}.
Splits:    those of movie_reviews, at most 2,000 / 200 / 400 lines of them.
Licence:   that of movie_reviews; the fonts are DejaVu's (Bitstream Vera licence).
"""

import dataclasses
import importlib.util
import io
import os
from pathlib import Path

import numpy as np

from pipelines.dataset import Dataset
from pipelines.datasets import movie_reviews

NAME = "rendered_lines"
COUNTS = {"train": 2000, "validation": 200, "test": 400}
LONGEST = 40  # characters


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    reviews, parts = movie_reviews.load(data_dir, cache_dir, split), {}
    for seed, (part, count) in enumerate(COUNTS.items()):
        random = np.random.default_rng(seed)
        texts = (row["text"].decode("utf-8", "replace") for row in reviews[part].take(count).as_numpy_iterator())
        lines = [line for text in texts if (line := _cut(text, int(random.integers(8, LONGEST))))]
        parts[part] = {"image": [render(line, random) for line in lines], "text": [line.encode() for line in lines]}
    info = dataclasses.replace(
        reviews.info,
        name=NAME,
        features={"image": "PNG bytes", "text": "string, UTF-8"},
        counts={part: len(columns["text"]) for part, columns in parts.items()},
        class_names=None,
        statistics={"image_shape": None},
    )
    return Dataset.of_columns(parts, info)


def _cut(text: str, length: int) -> str:
    """Return the first words of a text, of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length + 1].rpartition(" ")[0]


def render(text: str, random: np.random.Generator) -> bytes:
    """Return a PNG file of a line of text, dark on light, in a random font, size and colour."""
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(importlib.util.find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
    fonts = sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name)
    font = ImageFont.truetype(fonts[random.integers(len(fonts))], int(random.integers(16, 40)))
    left, top, right, bottom = font.getbbox(text)
    margin = int(random.integers(4, 10))
    light, dark = (tuple(map(int, random.integers(*bounds, 3))) for bounds in ((200, 256), (0, 90)))
    image = Image.new("RGB", (right - left + 2 * margin, bottom - top + 2 * margin), light)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, dark, font)
    image.save(content := io.BytesIO(), "PNG")
    return content.getvalue()
