"""Image datasets of TensorFlow Datasets, or the user's own images instead."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import class_folders
from pipelines.sources import tfds
from zoobase.files import cache_root

OFFICIAL = {"train": "train", "validation": "validation", "test": "test"}


def image_and_label(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return the features `image` and `label`."""
    return {name: example[name] for name in ("image", "label")}


def load_classes(data_dir: str | os.PathLike, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """Load the user's own images, one sub-folder per class."""
    return class_folders.load("image_folder", data_dir, cache_dir, split)


@dataclass(frozen=True)
class TfdsImages:
    """A dataset of images in TFDS."""

    name: str  # here and in TFDS
    licence: str
    official: Mapping[str, str] = field(default_factory=lambda: OFFICIAL)  # our split -> TFDS split
    # our features of an example of TFDS
    select: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]] = image_and_label
    # `Info.features`, without the label
    features: Mapping[str, str] = field(default_factory=lambda: {"image": "JPEG bytes"})
    class_names: tuple[str, ...] | None = ()  # of masks; () for those of the feature `label`, None for no classes
    image_shape: list[int] | None = None  # (H, W, C) to which models resize the images; None for their own sizes
    load_own: Callable[[str | os.PathLike, str | os.PathLike | None, str], Dataset] = load_classes
    # what a folder of the user's own images holds, for messages
    layout: str = "with your own images, one sub-folder per class"
    url: str = ""  # must respond before the download; by default that of the first file

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`; data_dir is a TFDS folder that contains the dataset, or the user's own images."""
        if data_dir is None:
            hint = f"--data-dir FOLDER {self.layout}, or with a TFDS folder of {self.name}"
            source, builder = tfds.download(self.name, cache_root(cache_dir) / self.name / "official", hint, self.url)
        elif builder := prepared(self.name, Path(data_dir).expanduser()):
            source = f"TFDS folder {data_dir}"
        else:
            return self.load_own(data_dir, cache_dir, split)
        policy = splits.percentages(split)
        return tfds.dataset(
            builder,
            tfds.slices(policy) if policy else self.official,
            self.select,
            self.features,
            {"image_shape": self.image_shape},
            label="label" if self.class_names == () else None,
            class_names=self.class_names or (),
            name=self.name,
            source=source,
            licence=self.licence,
            split=split,
        )


def prepared(name: str, folder: Path) -> Any:
    """Return the builder of a dataset in a TFDS folder; None if the folder does not have it."""
    if not (folder / name).is_dir():
        return None
    builder = tfds.builder_class(name)(data_dir=folder)
    return builder if builder.data_path.exists() else None
