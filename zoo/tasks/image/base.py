"""What tasks on images share: their size, and the one way from a file to pixels."""

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
        height: Of the images fed, in pixels.
        width: Of the images fed, in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: How a picture of another aspect is brought to that size: "stretch", "crop" or "pad".
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    fit: str = "stretch"

    accepts = "images"

    def preprocess(self, encoded: tf.Tensor) -> tf.Tensor:
        """Return pixels uint8 (height, width, channels) of one encoded image: what the feed and the export both use."""
        return pipelines.images.decode(encoded, self.height, self.width, self.channels, self.fit)

    def read(self, path: str) -> np.ndarray:
        """Return the same pixels of a file of any size and mode; DataError if it is no image."""
        return pipelines.images.read(path, self.height, self.width, self.channels, self.fit)


@dataclass(frozen=True)
class SizedByData(ImageTask):
    """Images of the size that the data says.

    Attributes:
        height: Of the images, in pixels; 0 is what the data says, else 28.
        width: Likewise.
        channels: 1 for grey, 3 for RGB; 0 is what the data says, else 1.
    """

    height: int = 0
    width: int = 0
    channels: int = 0

    def shape(self, info: Info) -> tuple[int, int, int]:
        """Return (H, W, C) of the images."""
        told = info.statistics.get("image_shape", (28, 28, 1))
        return tuple(asked or said for asked, said in zip((self.height, self.width, self.channels), told, strict=True))

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the shape of the images."""
        return {"image_shape": list(self.shape(info))}
