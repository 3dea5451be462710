"""Base classes of tasks on images: image size and decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.task import BaseTask

if TYPE_CHECKING:
    import tensorflow as tf

    from pipelines.dataset import Info


@dataclass(frozen=True)
class ImageTask(BaseTask):
    """Images of one size.

    Attributes:
        height: Height of the model's images, in pixels.
        width: Width of the model's images, in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: How images of another aspect ratio are resized: "stretch", "crop" or "pad".
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    fit: str = "stretch"

    accepts = "images"
    features = ("image",)

    def preprocess(self, encoded: tf.Tensor) -> tf.Tensor:
        """Return the pixels uint8 (height, width, channels) of an encoded image, in the feed and in exported models."""
        return pipelines.images.decode(encoded, self.height, self.width, self.channels, self.fit)

    def read(self, path: str) -> np.ndarray:
        """Return the same pixels of an image file of any size and mode; DataError if it is not an image."""
        return pipelines.images.read(path, self.height, self.width, self.channels, self.fit)


@dataclass(frozen=True)
class SizedByData(ImageTask):
    """Images whose size is determined by the data.

    Attributes:
        height: Height of the images in pixels; 0 is the height of the data, else 28.
        width: Width of the images in pixels; 0 is the width of the data, else 28.
        channels: 1 for grey, 3 for RGB; 0 is the number of channels of the data, else 1.
    """

    height: int = 0
    width: int = 0
    channels: int = 0

    def shape(self, info: Info) -> tuple[int, int, int]:
        """Return (H, W, C) of the images."""
        defaults = info.statistics.get("image_shape", (28, 28, 1))
        settings = (self.height, self.width, self.channels)
        return tuple(setting or default for setting, default in zip(settings, defaults, strict=True))

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the shape of the images."""
        return {"image_shape": list(self.shape(info))}
