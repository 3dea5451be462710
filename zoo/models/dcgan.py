"""Deep convolutional generative adversarial network.

Reference: Radford, Metz, Chintala 2016, arXiv:1511.06434: strided convolutions, batch normalisation everywhere but at
the discriminator's input and the generator's output, leaky ReLU of 0.2 in the discriminator, weights from N(0, 0.02),
Adam with beta1 0.5.
Train:     python -m zoo.train dcgan
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.gan import NoiseToImage
from zoo.tasks.generative.image_generation import ImageGeneration
from zoobase.errors import UsageError

# === Networks ===


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def _norm(name: str) -> layers.Layer:
    gamma = keras.initializers.RandomNormal(mean=1.0, stddev=0.02)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_norm")


def _downsampling_stages(shape: Sequence[int]) -> int:
    """Return how often height and width can be halved before one is odd or below 8: 28 -> 7 in two, 64 -> 4 in four."""
    height, width, _ = shape
    count = 0
    while height % 2 == width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count


def _generator(latent_dim: int, filters: int, shape: Sequence[int]) -> keras.Model:  # (B, latent) -> (B, H, W, C)
    depth = _downsampling_stages(shape)
    widths = [filters * 2**i for i in range(depth)]  # from the image inwards
    small = (shape[0] >> depth, shape[1] >> depth, widths[-1])
    noise = keras.Input((latent_dim,), name="noise")
    size = small[0] * small[1] * small[2]
    x = layers.Dense(size, use_bias=False, kernel_initializer=_normal(), name="expand")(noise)
    x = layers.ReLU(name="expand_relu")(_norm("expand")(layers.Reshape(small, name="reshape")(x)))
    for i, f in enumerate([*reversed(widths[:-1]), shape[2]]):
        last = i == depth - 1
        up = layers.Conv2DTranspose(
            f, 4, strides=2, padding="same", use_bias=last, kernel_initializer=_normal(), name=f"up{i}"
        )
        x = up(x) if last else layers.ReLU(name=f"up{i}_relu")(_norm(f"up{i}")(up(x)))
    x = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    return keras.Model(noise, layers.Rescaling(127.5, 127.5, dtype="float32", name="pixels")(x), name="generator")


def _discriminator(filters: int, shape: Sequence[int]) -> keras.Model:  # (B, H, W, C) -> (B, 1)
    image = keras.Input(tuple(shape), name="image")
    x = layers.Rescaling(1 / 127.5, -1, dtype="float32", name="rescale")(image)
    for i in range(_downsampling_stages(shape)):
        down = layers.Conv2D(
            filters * 2**i, 4, strides=2, padding="same", use_bias=not i, kernel_initializer=_normal(), name=f"down{i}"
        )
        x = _norm(f"down{i}")(down(x)) if i else down(x)
        x = layers.LeakyReLU(0.2, name=f"down{i}_leak")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(1, kernel_initializer=_normal(), name="logit")(x), name="discriminator")


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class DCGAN(NoiseToImage):
    """GAN of convolutional networks; the arguments are those of `dcgan`."""

    def __init__(self, latent_dim: int, filters: int, image_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(
            _generator(latent_dim, filters, image_shape),
            _discriminator(filters, image_shape),
            {"latent_dim": latent_dim, "filters": filters, "image_shape": list(image_shape)},
            **kwargs,
        )


@register(
    data="fashion_mnist",
    task=ImageGeneration(),
    recipes={
        "default": Recipe(
            epochs=30,
            batch_size=128,
            learning_rate=2e-4,
            optimizer="adam",
            momentum=0.5,
            schedule="constant",
            ema=0.999,
        )
    },
    tiny={"latent_dim": 4, "filters": 8, "recipe.ema": 0.0},
    card=Card(
        paper="Radford, Metz, Chintala 2016, arXiv:1511.06434",
        expect={"frechet_distance": 1.138, "frechet_to_noise": 0.0405, "precision": 0.7306, "recall": 0.5921},
        command="python -m zoo.train dcgan --precision float32",
        measured_on="2 cores of an AMD EPYC under other load: 47 minutes, 28 of CPU; distance of two halves of the "
        "real images 0.040, of noise 28.09; 15 epochs without the average of the weights reach 1.556",
        baselines={"gan, of dense layers": 2.196, "Gaussian mixture of principal components": 3.665},
        notes="Generates images of the training domain only; nearby noise vectors give similar images.",
    ),
)
def dcgan(latent_dim: int = 100, filters: int = 64, image_shape: Sequence[int] = (28, 28, 1)) -> keras.Model:
    """Deep convolutional generative adversarial network: images from noise.

    Shapes: noise (B, latent_dim) standard normal -> image (B, 28, 28, 1) float32 in [0, 255].

    Args:
        latent_dim: Dimensions of the noise.
        filters: Filters of the layers next to the image; each layer further inwards has twice as many.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: Height or width cannot be halved.
    """
    if not _downsampling_stages(image_shape):
        raise UsageError(f"images of {image_shape[0]}x{image_shape[1]} cannot be halved: use sizes such as 28 or 64")
    model = DCGAN(latent_dim, filters, image_shape, name="dcgan")
    model(keras.Input((latent_dim,), name="noise"))
    return model
