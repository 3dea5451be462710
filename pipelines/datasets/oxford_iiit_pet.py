"""Oxford-IIIT Pet: 7,349 photographs of cats and dogs, with masks of the animal.

Reference: Parkhi, Vedaldi, Zisserman, Jawahar 2012, "Cats and dogs".
Sources:   data_dir (a TFDS folder with oxford_iiit_pet, or folders as in mask_folder), the prepared cache, TFDS
           download.
Features:  {"image": JPEG bytes, "mask": grey PNG bytes: 0 background, 1 pet; 255, the border, is ignored}.
Splits:    "official" is the publisher's, whose last 15 % of train are for validation; percentages divide train.
Licence:   CC BY-SA 4.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.datasets import mask_folder
from pipelines.images import IGNORE, paired, tfds_images
from pipelines.sources import tfds
from zoobase.files import cache_root

NAME = "oxford_iiit_pet"
OFFICIAL = {"train": "train[:85%]", "validation": "train[85%:]", "test": "test"}
IDS = (IGNORE, 1, 0, IGNORE)  # of the publisher's 1 pet, 2 background, 3 border


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        hint = f"--data-dir FOLDER {mask_folder.LAYOUT}, or with a TFDS folder of {NAME}"
        source, builder = tfds.download(NAME, cache_root(cache_dir) / NAME / "official", hint)
    elif builder := tfds_images.prepared(NAME, Path(data_dir).expanduser()):
        source = f"TFDS folder {data_dir}"
    else:
        return mask_folder.load(data_dir, cache_dir, split)
    parts = {
        s: tfds.read(builder, cut).map(_select) for s, cut in (tfds.slices(policy) if policy else OFFICIAL).items()
    }
    counts = {s: int(part.cardinality()) for s, part in parts.items()}
    info = Info(
        name=NAME,
        source=source,
        licence="CC-BY-SA-4.0",
        homepage=builder.info.homepage,
        features={"image": "JPEG bytes", "mask": mask_folder.FEATURES["mask"]},
        counts=counts,
        class_names=("background", "pet"),
        statistics={"image_shape": paired.SHAPE},
        sha256={s: f"{builder.info.full_name} {n}" for s, n in counts.items()},
        split=split,
    )
    return Dataset(**parts, info=info)


def _select(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    trimap = tf.io.decode_png(example["segmentation_mask"], 1)
    ids = tf.gather(tf.constant(IDS, tf.uint8), tf.cast(tf.minimum(trimap, 3), tf.int32))
    return {"image": example["image"], "mask": tf.io.encode_png(ids)}
