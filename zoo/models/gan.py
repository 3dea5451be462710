"""The first generative adversarial network: two stacks of dense layers.

Reference: Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio 2014, arXiv:1406.2661. Batch
normalisation in the generator is of Radford, Metz, Chintala 2016, arXiv:1511.06434.
Train:     python -m zoo.train gan
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.gan import NoiseToImage
from zoo.tasks.generative.image_generation import ImageGeneration

# === Networks ===


def _generator(
    latent_dim: int, units: Sequence[int], shape: Sequence[int]
) -> keras.Model:  # (B, latent) -> (B, H, W, C)
    noise = x = keras.Input((latent_dim,), name="noise")
    for i, u in enumerate(units):
        x = layers.Dense(u, use_bias=False, name=f"up{i}")(x)
        x = layers.ReLU(name=f"up{i}_relu")(layers.BatchNormalization(momentum=0.9, name=f"up{i}_norm")(x))
    x = layers.Dense(math.prod(shape), activation="sigmoid", dtype="float32", name="intensity")(x)
    x = layers.Reshape(tuple(shape), dtype="float32", name="reshape")(x)
    return keras.Model(noise, layers.Rescaling(255.0, dtype="float32", name="pixels")(x), name="generator")


def _discriminator(units: Sequence[int], dropout: float, shape: Sequence[int]) -> keras.Model:  # (B, H, W, C) -> (B, 1)
    image = keras.Input(tuple(shape), name="image")
    x = layers.Flatten(name="flatten")(layers.Rescaling(1 / 255, dtype="float32", name="rescale")(image))
    for i, u in enumerate(reversed(units)):
        x = layers.LeakyReLU(0.2, name=f"leak{i}")(layers.Dense(u, name=f"down{i}")(x))
        x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    return keras.Model(image, layers.Dense(1, name="logit")(x), name="discriminator")


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class GAN(NoiseToImage):
    """GAN of dense networks; the arguments are those of `gan`."""

    def __init__(
        self, latent_dim: int, units: Sequence[int], dropout: float, image_shape: Sequence[int], **kwargs: Any
    ) -> None:
        super().__init__(
            _generator(latent_dim, units, image_shape),
            _discriminator(units, dropout, image_shape),
            {"latent_dim": latent_dim, "units": list(units), "dropout": dropout, "image_shape": list(image_shape)},
            **kwargs,
        )


@register(
    data="fashion_mnist",
    task=ImageGeneration(),
    recipes={
        "default": Recipe(
            epochs=60,
            batch_size=128,
            learning_rate=2e-4,
            optimizer="adam",
            momentum=0.5,
            schedule="constant",
            ema=0.999,
        )
    },
    tiny={"latent_dim": 4, "units": (16,), "recipe.ema": 0.0},
    card=Card(
        of_course=True,
        paper="Goodfellow 2014, arXiv:1406.2661",
        expect={"frechet_distance": 2.196, "frechet_to_noise": 0.0782, "precision": 0.7566, "recall": 0.0841},
        command="python -m zoo.train gan --precision float32",
        measured_on="one core of an AMD EPYC, the other busy: 13 minutes; a Gaussian mixture of principal components "
        "in the same command 3.665, two halves of the real images 0.040",
        data_notes="The generated images are noisy, and alike (recall 0.08); dcgan gives better ones.",
    ),
)
def gan(
    latent_dim: int = 100,
    units: Sequence[int] = (128, 256, 512),
    dropout: float = 0.3,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Generative adversarial network of dense layers: small images from noise.

    Shapes: noise (B, latent_dim) standard normal -> image (B, 28, 28, 1) float32 in [0, 255].

    Args:
        latent_dim: Dimensions of the noise.
        units: Units of the generator, from the noise to the image; the discriminator has them in reverse order.
        dropout: Dropout rate of the discriminator.
        image_shape: (H, W, C); determined by the data.
    """
    model = GAN(latent_dim, units, dropout, image_shape, name="gan")
    model(keras.Input((latent_dim,), name="noise"))
    return model
