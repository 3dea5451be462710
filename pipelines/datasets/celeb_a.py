"""CelebA: 202,599 photographs of faces, aligned and cropped, 178x218.

Reference: Liu, Luo, Wang, Tang 2015, "Deep Learning Face Attributes in the Wild", arXiv:1411.7766.
Sources:   data_dir (a TFDS folder with celeb_a, or any folder of photographs), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes}.
Splits:    "official" is the publisher's; percentages divide the official training set.
Licence:   for non-commercial research; the images show real people.
"""

import dataclasses
import os

from pipelines.dataset import Dataset
from pipelines.datasets import picture_folder
from pipelines.images.tfds_images import TfdsImages

SHAPE = [64, 64, 3]  # as in Radford 2015 and later work


def _load_own(data_dir: str | os.PathLike, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    own = picture_folder.load(data_dir, cache_dir, split)
    return dataclasses.replace(own, info=dataclasses.replace(own.info, statistics={"image_shape": SHAPE}))


load = TfdsImages(
    "celeb_a",
    licence="for research that is not commercial",
    select=lambda example: {"image": example["image"]},
    class_names=None,
    image_shape=SHAPE,
    load_own=_load_own,
    layout="with photographs of your own",
    url="https://drive.google.com/",
).load
