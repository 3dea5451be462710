"""Garment boxes: one to four garments of Fashion-MNIST, tinted, on a crop of a photograph, 64x64, with their boxes.

The scenes are composed as those of garment_scenes, of five garments each in place of ten, so that there are twice as
many. The pixels are real, their arrangement is not: it shows that a model learns to detect, and is no benchmark.

Sources:   those of fashion_mnist for the garments (data_dir is its), and of picture_folder for the photographs; a
           data_dir with annotations of COCO or Pascal VOC is read as by box_folder.
Features:  {"image": PNG bytes (64, 64, 3), "boxes": float32 (objects, 4): left, top, right, bottom in pixels, "labels":
           int64 (objects,), "ignored": int64 (objects,), all 0, "size": int32 (2,)}.
Splits:    those of both: no garment and no photograph is in two splits. One scene for each five garments.
Licence:   MIT for Fashion-MNIST; the photographs of scikit-image are CC0, those of scikit-learn CC BY 2.0.
"""

import dataclasses
import os
from collections.abc import Mapping

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.datasets import box_folder, garment_scenes
from pipelines.images import boxes

NAME = "garment_boxes"
GARMENTS = 5  # of which one scene has one to `garment_scenes.MOST`


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None and box_folder.is_annotated(data_dir):
        return box_folder.load(data_dir, cache_dir, split)
    parts, info = garment_scenes.scenes(NAME, GARMENTS, data_dir, cache_dir, split)
    side = garment_scenes.SIDE

    def example(scene: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        objects = scene["objects"]
        labels = tf.cast(objects[:, 4], tf.int64)
        marks = {"boxes": objects[:, :4], "labels": labels, "ignored": tf.zeros_like(labels)}
        return {"image": tf.io.encode_png(scene["image"]), **marks, "size": tf.constant([side, side])}

    statistics = {**info.statistics, "most_objects": garment_scenes.MOST}
    return Dataset(
        **{s: part.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True) for s, part in parts.items()},
        info=dataclasses.replace(
            info, features={"image": f"PNG bytes ({side}, {side}, 3)", **boxes.FEATURES}, statistics=statistics
        ),
    )
