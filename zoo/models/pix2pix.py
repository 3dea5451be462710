"""Paired image to image translation by a conditional generative adversarial network.

Reference: Isola, Zhu, Zhou, Efros 2017, arXiv:1611.07004: a U-Net generator, a PatchGAN discriminator conditioned on
the input image, and an L1 loss with weight 100.
Train:     python -m zoo.train pix2pix
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.blocks import patch_discriminator
from zoo.modeling.gan import AdversarialModel, cross_entropy
from zoo.tasks.generative.image_translation import PairedImageTranslation
from zoobase.errors import UsageError

# === Layers ===


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def _norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")


def _down(x: Any, filters: int, name: str, norm: bool) -> Any:  # (B, H, W, C) -> (B, H/2, W/2, filters)
    down = layers.Conv2D(
        filters, 4, strides=2, padding="same", use_bias=not norm, kernel_initializer=_normal(), name=name
    )
    return _norm(name)(down(x)) if norm else down(x)


def _up(x: Any, filters: int, name: str, norm: bool = True) -> Any:  # (B, H, W, C) -> (B, 2H, 2W, filters)
    x = layers.ReLU(name=f"{name}_relu")(x)
    up = layers.Conv2DTranspose(
        filters, 4, strides=2, padding="same", use_bias=not norm, kernel_initializer=_normal(), name=name
    )
    return _norm(name)(up(x)) if norm else up(x)


def _padding(shape: Sequence[int], multiple: int) -> list[tuple[int, int]]:
    """Return the padding of height and width, before and after, to a multiple: 28 to 32 is (2, 2)."""
    return [(-side % multiple // 2, -side % multiple - -side % multiple // 2) for side in shape[:2]]


def _generator(filters: int, dropout: float, shape: Sequence[int]) -> keras.Model:  # (B, H, W, C) -> the same
    depth = min(8, math.ceil(math.log2(min(shape[:2]))))  # until one pixel is left: 8 for 256, 5 for 28
    widths = [filters * min(2**i, 8) for i in range(depth)]
    padding = _padding(shape, 2**depth)
    image = keras.Input(tuple(shape), name="image")
    x = layers.ZeroPadding2D(padding, dtype="float32", name="pad")(image)
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(x)
    skips = []
    for i, f in enumerate(widths):
        x = layers.LeakyReLU(0.2, name=f"down{i}_leak")(x) if i else x
        x = _down(x, f, f"down{i}", norm=0 < i < depth - 1)  # a single value cannot be normalised
        skips.append(x)
    for i in reversed(range(depth - 1)):
        x = _up(x, widths[i], f"up{i}")
        if i >= depth - 1 - max(1, depth - 5):  # the innermost: three of eight, as in the paper
            x = layers.Dropout(dropout, name=f"up{i}_dropout")(x)
        x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i]])
    x = layers.Activation("tanh", dtype="float32", name="tanh")(_up(x, shape[2], "out", norm=False))
    x = layers.Rescaling(127.5, 127.5, dtype="float32", name="pixels")(x)
    return keras.Model(image, layers.Cropping2D(padding, dtype="float32", name="translated")(x), name="generator")


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class Pix2Pix(AdversarialModel):
    """U-Net generator and PatchGAN discriminator; the arguments are those of `pix2pix`.

    The noise of the generator is its dropout during training; the exported model is deterministic.
    """

    loss_names = ("g_loss", "d_loss", "adversarial", "l1")

    def __init__(
        self, filters: int, dropout: float, l1_weight: float, image_shape: Sequence[int], **kwargs: Any
    ) -> None:
        arguments = {"filters": filters, "dropout": dropout, "l1_weight": l1_weight, "image_shape": list(image_shape)}
        super().__init__(arguments, **kwargs)
        self.l1_weight = l1_weight
        self.generator = _generator(filters, dropout, image_shape)
        self.discriminator = patch_discriminator(image_shape, filters, _norm, ("input", "target"))

    def call(self, image: Any, training: bool | None = None) -> Any:
        """Return the translated images."""
        return self.generator(image, training=training)

    def compute_losses(
        self, inputs: Any, target: Any, training: bool
    ) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return the losses of both networks; `adversarial` in nats, `l1` of pixels in [-1, 1]."""
        image, real = tf.cast(inputs, tf.float32), tf.cast(target, tf.float32)
        fake = self.generator(image, training=training)
        fake_logits = self.discriminator([image, fake], training=training)
        real_logits = self.discriminator([image, real], training=training)
        adversarial = cross_entropy(fake_logits, real=True)
        l1 = tf.reduce_mean(tf.abs(real - fake)) / 127.5
        losses = {
            "g_loss": adversarial + self.l1_weight * l1,
            "d_loss": 0.5 * (cross_entropy(real_logits, real=True) + cross_entropy(fake_logits, real=False)),
            "adversarial": adversarial,
            "l1": l1,
        }
        return losses, [(real, fake)]


_PLAIN = Recipe(epochs=5, batch_size=64, learning_rate=2e-4, optimizer="adam", momentum=0.5, schedule="constant")
_PAPER = dataclasses.replace(
    _PLAIN, epochs=200, batch_size=1, augment="width_shift=0.1,height_shift=0.1,flip", model={"filters": 64}
)


@register(
    data="edges_to_garments",
    task=PairedImageTranslation(),
    recipes={"default": _PLAIN, "full": _PAPER},
    tiny={"filters": 8},
    card=Card(
        paper="Isola, Zhu, Zhou, Efros 2017, arXiv:1611.07004",
        expect={"psnr_db": 18.18, "ssim": 0.6682, "psnr_gain_db": 1.373, "frechet_distance": 0.8302},
        command="python -m zoo.train pix2pix",
        measured_on="2 cores of an AMD EPYC under other load: 5 epochs, 15 minutes",
        notes="Translates inputs like those of the training pairs only.",
        data_notes="The shipped weights are rounded to 8 bits, which costs 0.01 dB; the figures are theirs.",
    ),
)
def pix2pix(
    filters: int = 24, dropout: float = 0.5, l1_weight: float = 100.0, image_shape: Sequence[int] = (28, 28, 1)
) -> keras.Model:
    """Paired image to image translation: edges to garments, grey to colour, maps to photographs.

    Shapes: image (B, H, W, C) in [0, 255] -> translated (B, H, W, C) float32 in [0, 255].

    Args:
        filters: Filters of the outermost convolutions, doubled three times inwards; the paper has 64.
        dropout: Dropout rate of the innermost layers.
        l1_weight: Weight of the L1 loss relative to the adversarial loss.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: Height or width is below 16.
    """
    if min(image_shape[:2]) < 16:
        raise UsageError(f"images of {image_shape[0]}x{image_shape[1]} are too small: use sizes of 16 or more")
    model = Pix2Pix(filters, dropout, l1_weight, image_shape, name="pix2pix")
    model(keras.Input(tuple(image_shape), name="image"))
    return model
