"""What tasks on images share: their size, and the one way from a file to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import pipelines

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class ImageTask:
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
