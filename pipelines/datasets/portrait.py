"""Windows of one photograph of a face, with its box: enough to compare what artifacts answer, and no benchmark.

Sources:   the installed scikit-image: the portrait of the astronaut Eileen Collins. data_dir: boxes of your own, as of
           box_folder.
Features:  {"image": PNG bytes, "boxes": float32 (objects, 4): left, top, right, bottom in pixels, "labels": int64
           (objects,), "ignored": int64 (objects,): a face that is cut off, "size": int32 (2,)}.
Splits:    128 / 16 / 32 square windows of random places and sizes, of the same photograph.
Licence:   public domain (NASA).
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.dataset import Dataset, Info
from pipelines.datasets import box_folder
from pipelines.sources import search
from zoobase.errors import USAGE, DataError, SourceUnavailable
from zoobase.files import sha256

NAME = "portrait"
FILE = "astronaut.png"
SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
FACE = (180, 67, 270, 179)  # left, top, right, bottom
COUNTS = {"train": 128, "validation": 16, "test": 32}
SIDES = (128, 512)  # pixels of a window
SHOWN = 0.95  # share of the face that a window must have, or the face is ignored


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        return box_folder.load(data_dir, cache_dir, split)
    if split != "official":
        raise DataError(f"{NAME} has the same photograph in every split: omit split={split}", USAGE)
    source = search.Source(f"scikit-image, {FILE}", lambda: None, lambda: _windows(_file()))
    return search.search(NAME, [source], "pip install scikit-image")[1]


def _file() -> Path:
    spec = importlib.util.find_spec("skimage")
    roots = [Path(place) / "data" / FILE for place in (spec and spec.submodule_search_locations) or ()]
    path = next((path for path in roots if path.is_file()), None)
    if path is None:
        raise SourceUnavailable("it is not installed")
    if sha256(path) != SHA256:
        raise SourceUnavailable(f"{path} is not the expected file: its sha256 differs")
    return path


def _windows(path: Path) -> Dataset:
    photograph = tf.io.decode_png(path.read_bytes(), channels=3)
    random = np.random.default_rng(0)
    splits = {name: _split(photograph, count, random) for name, count in COUNTS.items()}
    info = Info(
        name=NAME,
        source=f"scikit-image, {FILE}",
        licence="public domain",
        homepage="https://scikit-image.org",
        features={
            "image": "PNG bytes",
            "boxes": "float32 (objects, 4)",
            "labels": "int64 (objects,)",
            "ignored": "int64 (objects,)",
            "size": "int32 (2,)",
        },
        class_names=("face",),
        counts=dict(COUNTS),
        statistics={"image_shape": None, "most_objects": 1},
        sha256={FILE: SHA256},
        split="official",
    )
    return Dataset(**splits, info=info)


def _split(photograph: tf.Tensor, count: int, random: np.random.Generator) -> tf.data.Dataset:
    sides = random.integers(*SIDES, count, endpoint=True)
    places = np.stack([random.integers(0, length - sides + 1) for length in photograph.shape[1::-1]], axis=1)
    places = places.astype(np.int32)  # left, top

    def window(place: tf.Tensor, side: tf.Tensor) -> dict[str, tf.Tensor]:
        part = tf.slice(photograph, [place[1], place[0], 0], [side, side, 3])
        face = tf.constant([FACE], tf.float32)
        box = tf.clip_by_value(face - tf.cast(tf.tile(place, [2]), tf.float32), 0.0, tf.cast(side, tf.float32))
        shown = _area(box) / _area(face)
        box, shown = box[shown > 0], shown[shown > 0]
        return {
            "image": tf.io.encode_png(part),
            "boxes": box,
            "labels": tf.zeros_like(shown, tf.int64),
            "ignored": tf.cast(shown < SHOWN, tf.int64),
            "size": tf.stack([side, side]),
        }

    return tf.data.Dataset.from_tensor_slices((places, sides.astype(np.int32))).map(window)


def _area(boxes: tf.Tensor) -> tf.Tensor:  # (M, 4) -> (M,)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
