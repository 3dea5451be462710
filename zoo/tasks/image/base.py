"""Base class of tasks on images: image size and decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.task import BaseTask
from zoobase.errors import DataError, MissingError, UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Endpoint, Tensor
    from pipelines.dataset import Dataset, Info


LARGEST = 256  # pixels: a larger side is chosen by the user, not by the data
OF_MNIST = (28, 28, 1)  # for datasets whose info has no "image_shape": the MNIST family, and digits, which are enlarged


@dataclass(frozen=True)
class ImageTask(BaseTask):
    """Images of one size."""

    height: int = 0  # height of the model's images, in pixels; 0 is that of the data
    width: int = 0  # width of the model's images, in pixels; 0 is that of the data
    channels: int = 0  # 1 for grey, 3 for RGB; 0 is that of the data
    fit: str = "stretch"  # how images of another aspect ratio are resized: "stretch", "crop" or "pad"

    accepts = "images"
    required_features = ("image",)

    def shape(self, info: Info) -> tuple[int, int, int]:
        """Return (H, W, C) of the images."""
        settings = (self.height, self.width, self.channels)
        if all(settings):
            return settings
        shape = info.statistics.get("image_shape", OF_MNIST)
        if shape is None or max(shape[:2]) > LARGEST:
            size = "several sizes" if shape is None else f"{shape[0]}x{shape[1]} pixels"
            raise UsageError(
                f"the images of {info.name} have {size}: choose one size for the model, such as "
                "--set task.height=64 --set task.width=64 --set task.channels=3"
            )
        return tuple(setting or default for setting, default in zip(settings, shape, strict=True))

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the shape of the images."""
        return {"image_shape": list(self.shape(info))}

    def tensor(self, info: Info, name: str = "image") -> Tensor:
        """Return the pixels float32 (B, H, W, C) in [0, 255] as a tensor of the contract, and how a file becomes it."""
        from export.contract import Tensor
        from export.contract.preprocessing import ImagePreprocessing

        shape = self.shape(info)
        recipe = ImagePreprocessing(
            decoder="scaled",
            fit=self.fit,
            resize="bilinear_antialias_above_2",
            colour="grey" if shape[2] == 1 else "RGB",
        )
        return Tensor(name, "float32", (None, *shape), "image", low=0.0, high=255.0, preprocessing=recipe)

    def preprocess(self, encoded: tf.Tensor, info: Info) -> tf.Tensor:
        """Return the pixels uint8 (H, W, C) of an encoded image, in the feed and in exported models."""
        return pipelines.images.decode(encoded, *self.shape(info), self.fit)

    def read(self, path: str, info: Info) -> np.ndarray:
        """Return the same pixels of an image file of any size and mode; DataError if it is not an image."""
        return pipelines.images.read(path, *self.shape(info), self.fit)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file of any size and mode; DataError if it is not an image."""
        return {"image": self.read(argument, info)}

    def original_image(self, argument: str, image: np.ndarray, info: Info) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what a prediction is about at its own size, and where the model's image (H, W, C) has it.

        Pixels (H, W, C) of the file, or of the array; start and scale (2,) of x and y: its point p is at
        `start + scale * p` of the model's image.
        """
        from PIL import Image, ImageOps

        from pipelines.images import pixels

        if not Path(argument).is_file():
            return image, np.zeros(2), np.ones(2)
        with Image.open(argument) as file:  # to be shown, so that the bits of TensorFlow's decoder are not needed
            picture = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
        start, scale = pixels.placement(picture.shape[:2], *self.shape(info)[:2], self.fit)
        return picture, start[::-1], scale[::-1]


@dataclass(frozen=True)
class EncoderTask(ImageTask):
    """Images of one size, by models whose argument `encoder` may be a backbone of `zoo.modeling.backbones`."""

    pretrained: bool = True  # whether such an encoder starts from its trained weights; False is random ones

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise UsageError for an unknown encoder, with the closest matches."""
        from zoo.modeling import backbones

        if arguments.get("encoder"):
            backbones.get(arguments["encoder"])

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Load the trained weights of an encoder that is a backbone; MissingError if they are not available."""
        import keras

        from zoo.modeling import backbones

        for encoder in (layer for layer in model.layers if isinstance(layer, keras.Model)):
            if self.pretrained and (pretrain := backbones.get(encoder.name).pretrain):
                try:
                    pretrain(encoder)
                except (DataError, MissingError) as error:
                    raise MissingError(
                        f"the encoder's trained weights are not available, and --set model.encoder= trains without "
                        f"them: {error}"
                    ) from error
