"""CelebA: 202,599 photographs of faces, aligned and cropped, 178x218.

Reference: Liu, Luo, Wang, Tang 2015, "Deep Learning Face Attributes in the Wild", arXiv:1411.7766.
Sources:   data_dir (a TFDS folder with celeb_a, or any folder of photographs), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes}.
Splits:    "official" is the publisher's; percentages divide the official training set.
Licence:   for non-commercial research; the images show real people.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.datasets import picture_folder
from pipelines.sources import tfds
from zoobase.files import cache_root

NAME = "celeb_a"
HOST = "https://drive.google.com/"  # host of the TFDS download
SHAPE = [64, 64, 3]  # as in Radford 2015 and later work


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        hint = f"--data-dir FOLDER with photographs of your own, or with a TFDS folder of {NAME}"
        source, builder = tfds.download(NAME, cache_root(cache_dir) / NAME / "official", hint, HOST)
    elif (Path(data_dir).expanduser() / NAME).is_dir():
        source, builder = f"TFDS folder {data_dir}", tfds.builder_class(NAME)(data_dir=Path(data_dir).expanduser())
    else:
        own = picture_folder.load(data_dir, cache_dir, split)
        return dataclasses.replace(own, info=dataclasses.replace(own.info, statistics={"image_shape": SHAPE}))
    official = {"train": "train", "validation": "validation", "test": "test"}
    parts = {s: tfds.read(builder, theirs) for s, theirs in (tfds.slices(policy) if policy else official).items()}
    counts = {s: int(part.cardinality()) for s, part in parts.items()}
    info = Info(
        name=NAME,
        source=source,
        licence="for research that is not commercial",
        homepage=builder.info.homepage,
        features={"image": "JPEG bytes"},
        counts=counts,
        statistics={"image_shape": SHAPE},
        sha256={s: f"{builder.info.full_name} {n}" for s, n in counts.items()},
        split=split,
    )
    return Dataset(**{s: part.map(lambda e: {"image": e["image"]}) for s, part in parts.items()}, info=info)
