"""Autoencoders of small images: dense, convolutional, denoising and variational.

Reference: Hinton, Salakhutdinov 2006, doi:10.1126/science.1127647 (dense); Vincent, Larochelle, Bengio, Manzagol 2008,
doi:10.1145/1390156.1390294 (denoising); Kingma, Welling 2014, arXiv:1312.6114 (variational).
Train:     python -m zoo.train autoencoder --kind conv
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.losses import MultiLossModel
from zoo.tasks.generative.autoencoding import Autoencoding, latent_size
from zoobase.errors import UsageError

# === Layers ===


def _conv_encoder(filters: Sequence[int], size: int) -> list[layers.Layer]:  # (B, H, W, C) -> (B, size)
    downs = [
        layers.Conv2D(f, 3, strides=2, padding="same", activation="relu", name=f"down{i}")
        for i, f in enumerate(filters)
    ]
    return [layers.Rescaling(1 / 255, name="rescale"), *downs, layers.Flatten(name="flatten"), _code(size)]


def _conv_decoder(filters: Sequence[int], shape: Sequence[int]) -> list[layers.Layer]:  # (B, latent) -> (B, H, W, C)
    scale = 2 ** len(filters)
    small = (shape[0] // scale, shape[1] // scale, filters[-1])
    ups = [
        layers.Conv2DTranspose(f, 4, strides=2, padding="same", activation="relu", name=f"up{i}")
        for i, f in enumerate(reversed(filters))
    ]
    return [
        layers.Dense(math.prod(small), activation="relu", name="expand"),
        layers.Reshape(small, name="reshape"),
        *ups,
        layers.Conv2D(shape[2], 3, padding="same", name="pixels"),  # logits of pixel intensity
    ]


def _dense_encoder(units: Sequence[int], size: int) -> list[layers.Layer]:  # (B, H, W, C) -> (B, size)
    downs = [layers.Dense(u, activation="relu", name=f"down{i}") for i, u in enumerate(units)]
    return [layers.Rescaling(1 / 255, name="rescale"), layers.Flatten(name="flatten"), *downs, _code(size)]


def _dense_decoder(units: Sequence[int], shape: Sequence[int]) -> list[layers.Layer]:  # (B, latent) -> (B, H, W, C)
    ups = [layers.Dense(u, activation="relu", name=f"up{i}") for i, u in enumerate(reversed(units))]
    return [*ups, layers.Dense(math.prod(shape), name="pixels"), layers.Reshape(tuple(shape), name="reshape")]


def _code(size: int) -> layers.Layer:
    return layers.Dense(size, name="code")


_ENCODERS = {"dense": _dense_encoder, "conv": _conv_encoder}
_DECODERS = {"dense": _dense_decoder, "conv": _conv_decoder}


def _chain(network: Sequence[layers.Layer], x: Any) -> Any:
    for layer in network:
        x = layer(x)
    return x


# === Subclassed Models ===


@keras.saving.register_keras_serializable("zoo")
class Autoencoder(MultiLossModel):
    """Reconstructs an image from a code of `latent_dim` dimensions.

    Input: image (B, H, W, C) in [0, 255]. Output: reconstruction (B, H, W, C) float32 in [0, 255].
    """

    code_sizes = 1  # outputs of the encoder per dimension of the code

    def __init__(
        self, network: str, latent_dim: int, widths: Sequence[int], image_shape: Sequence[int], **kwargs: Any
    ) -> None:
        """Create the layers: `network` is "dense" or "conv", `widths` its units or filters from the image inwards."""
        super().__init__(**kwargs)
        self.arguments = {
            "network": network,
            "latent_dim": latent_dim,
            "widths": list(widths),
            "image_shape": list(image_shape),
        }
        self.latent_dim, self.image_shape = latent_dim, tuple(image_shape)
        self.encoder = _ENCODERS[network](widths, self.code_sizes * latent_dim)
        self.decoder = _DECODERS[network](widths, image_shape)
        self.build()  # here, because loading a whole-model .h5 requires built layers

    def build(self, input_shape: Any = None) -> None:
        """Build encoder and decoder."""
        for network, shape in ((self.encoder, (None, *self.image_shape)), (self.decoder, (None, self.latent_dim))):
            for layer in network:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
        self.built = True

    def encode(self, image: Any) -> Any:
        """Return the code (B, latent_dim) of an image (B, H, W, C) in [0, 255]."""
        return _chain(self.encoder, image)

    def decode_logits(self, latent: Any) -> Any:
        """Return the logits of pixel intensity (B, H, W, C) of a code (B, latent_dim)."""
        return _chain(self.decoder, latent)

    def decode(self, latent: Any) -> Any:
        """Return the image (B, H, W, C) float32 in [0, 255] of a code (B, latent_dim)."""
        return 255.0 * ops.sigmoid(self.decode_logits(latent))

    def call(self, image: Any, training: bool | None = None) -> Any:
        """Return the reconstruction."""
        return self.decode(self.encode(image))

    # === Training ===

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> tuple[Any, ...]:
        """Return the mean squared error of pixels in [0, 1]."""
        logits = ops.cast(self.decode_logits(self.encode(inputs)), "float32")
        return (ops.mean(ops.square(ops.sigmoid(logits) - ops.cast(target, "float32") / 255.0)),)


@keras.saving.register_keras_serializable("zoo")
class VariationalAutoencoder(Autoencoder):
    """Variational autoencoder; the noise is an input, so that every exported artifact is deterministic.

    Inputs: {"image": (B, H, W, C) in [0, 255], "noise": (B, latent_dim) standard normal}.
    Output: reconstruction (B, H, W, C) float32 in [0, 255].
    """

    code_sizes = 2  # mean and log-variance
    loss_names = ("loss", "reconstruction_loss", "kl_loss")

    def __init__(
        self,
        network: str,
        latent_dim: int,
        widths: Sequence[int],
        image_shape: Sequence[int],
        beta: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Take the arguments of `Autoencoder`, and `beta`, the weight of the KL term (Higgins 2017)."""
        super().__init__(network, latent_dim, widths, image_shape, **kwargs)
        self.beta = beta
        self.arguments["beta"] = beta

    def encode(self, image: Any) -> tuple[Any, Any]:
        """Return mean and log-variance, each (B, latent_dim), of q(latent | image)."""
        x = _chain(self.encoder, image)
        return x[:, : self.latent_dim], x[:, self.latent_dim :]

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return the reconstruction from a code that is sampled with the input noise."""
        mean, log_variance = self.encode(inputs["image"])
        return self.decode(mean + ops.exp(0.5 * log_variance) * inputs["noise"])

    def batch_losses(self, inputs: Any, target: Any, training: bool) -> tuple[Any, ...]:
        """Return the negative evidence lower bound, in nats per image, and its two terms."""
        mean, log_variance = self.encode(inputs["image"])
        noise = ops.cast(inputs["noise"], mean.dtype)
        logits = ops.cast(self.decode_logits(mean + ops.exp(0.5 * log_variance) * noise), "float32")
        mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
        target = ops.cast(target, "float32") / 255.0
        pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
        reconstruction = ops.mean(ops.sum(pixels, axis=(1, 2, 3)))
        kl = ops.mean(-0.5 * ops.sum(1.0 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1))
        return reconstruction + self.beta * kl, reconstruction, kl


_PLAIN = Recipe(epochs=12, batch_size=128, learning_rate=2e-3, optimizer="adam")


@register(
    data="fashion_mnist",
    task=Autoencoding(),
    recipes={"default": _PLAIN},
    tiny={"kind": "variational", "latent_dim": 4, "filters": (8, 8)},
    card=Card(
        paper="Hinton, Salakhutdinov 2006, doi:10.1126/science.1127647; Kingma, Welling 2014, arXiv:1312.6114",
        expect={"mse": 0.0068, "mse_below_pca": 0.5302},
        command="python -m zoo.train autoencoder",
        measured_on="2 cores of an Intel Xeon with AMX, bfloat16, next to another training: 5 minutes",
        data_notes="Trained on centred garments, light on black: other images are reconstructed as garments. The "
        "shipped weights are rounded to 9 bits; the figures are theirs.",
    ),
)
def autoencoder(
    kind: Literal["conv", "dense", "denoising", "variational"] = "conv",
    latent_dim: int | None = None,
    filters: Sequence[int] = (32, 64),
    units: Sequence[int] = (512, 128),
    beta: float = 1.0,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Autoencoder of small images: dense, convolutional, denoising or variational.

    A denoising autoencoder is the convolutional one, trained with noisy images; the feed adds the noise.

    Shapes: image (B, 28, 28, 1) in [0, 255] -> reconstruction (B, 28, 28, 1) in [0, 255]; a variational one takes
    {"image": as above, "noise": (B, latent_dim)}.

    Args:
        kind: Kind of autoencoder.
        latent_dim: Dimensions of the code; by default 32 (128 for denoising, 16 for variational).
        filters: Filters of the convolutions, from the image inwards; each halves height and width.
        units: Units of the dense autoencoder, from the image inwards.
        beta: Weight of the KL term of the variational autoencoder.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: Height or width is not divisible by 2 for each of the filters.
    """
    size = latent_size(kind, latent_dim)
    if kind == "dense":
        model = Autoencoder("dense", size, units, image_shape, name="autoencoder")
    else:
        if any(side % 2 ** len(filters) for side in image_shape[:2]):
            raise UsageError(
                f"images of {image_shape[0]}x{image_shape[1]} cannot be halved {len(filters)} times: use fewer filters"
            )
        if kind == "variational":
            model = VariationalAutoencoder("conv", size, filters, image_shape, beta, name="autoencoder")
        else:
            model = Autoencoder("conv", size, filters, image_shape, name="autoencoder")
    image = keras.Input(tuple(image_shape), name="image")
    model({"image": image, "noise": keras.Input((size,), name="noise")} if kind == "variational" else image)
    return model
