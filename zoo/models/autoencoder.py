"""Variational autoencoder of small images.

Reference: Kingma, Welling 2014, arXiv:1312.6114.
Train:     python -m zoo.train autoencoder
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from zoo.recipes import Recipe
from zoo.registry import register
from zoo.specs import Card
from zoo.tasks.autoencoding import Autoencoding

# === Layers ===


def _encoder(filters: Sequence[int], latent_dim: int) -> list[layers.Layer]:  # (B, H, W, C) -> (B, 2 * latent_dim)
    downs = [
        layers.Conv2D(f, 3, strides=2, padding="same", activation="relu", name=f"down{i}")
        for i, f in enumerate(filters)
    ]
    return [
        layers.Rescaling(1 / 255, name="rescale"),
        *downs,
        layers.Flatten(name="flatten"),
        layers.Dense(2 * latent_dim, name="code"),
    ]


def _decoder(filters: Sequence[int], image_shape: Sequence[int]) -> list[layers.Layer]:  # (B, latent) -> (B, H, W, C)
    height, width, channels = image_shape
    scale = 2 ** len(filters)
    small = (height // scale, width // scale, filters[-1])
    ups = [
        layers.Conv2DTranspose(f, 3, strides=2, padding="same", activation="relu", name=f"up{i}")
        for i, f in enumerate(reversed(filters))
    ]
    return [
        layers.Dense(small[0] * small[1] * small[2], activation="relu", name="expand"),
        layers.Reshape(small, name="reshape"),
        *ups,
        layers.Conv2D(channels, 3, padding="same", name="pixels"),  # logits of pixel intensity
    ]


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class VariationalAutoencoder(keras.Model):
    """Image and noise in, reconstruction out; the noise is an input, so that every artifact is deterministic.

    Inputs: {"image": (B, H, W, C) in [0, 255], "noise": (B, latent_dim) standard normal}.
    Output: reconstruction (B, H, W, C) float32 in [0, 255].
    """

    def __init__(
        self, latent_dim: int, filters: Sequence[int], beta: float, image_shape: Sequence[int], **kwargs: Any
    ) -> None:
        """See `autoencoder` for the arguments."""
        super().__init__(**kwargs)
        self.arguments = {
            "latent_dim": latent_dim,
            "filters": list(filters),
            "beta": beta,
            "image_shape": list(image_shape),
        }
        self.latent_dim, self.beta, self.image_shape = latent_dim, beta, tuple(image_shape)
        self.encoder = _encoder(filters, latent_dim)
        self.decoder = _decoder(filters, image_shape)
        self.losses_shown = [keras.metrics.Mean(name=n) for n in ("loss", "reconstruction_loss", "kl_loss")]
        self.build()  # here, because a whole-model .h5 is read into layers that must be built already

    def build(self, input_shape: Any = None) -> None:
        """Build both halves on the image's shape."""
        for half, shape in ((self.encoder, (None, *self.image_shape)), (self.decoder, (None, self.latent_dim))):
            for layer in half:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
        self.built = True

    def encode(self, image: Any) -> tuple[Any, Any]:
        """Return mean and log-variance, each (B, latent_dim), of q(latent | image)."""
        x = image
        for layer in self.encoder:
            x = layer(x)
        return x[:, : self.latent_dim], x[:, self.latent_dim :]

    def decode_logits(self, latent: Any) -> Any:
        """Return the logits of pixel intensity (B, H, W, C)."""
        x = latent
        for layer in self.decoder:
            x = layer(x)
        return x

    def decode(self, latent: Any) -> Any:
        """Return the image (B, H, W, C) float32 in [0, 255] of a code (B, latent_dim)."""
        return 255.0 * ops.sigmoid(self.decode_logits(latent))

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return the reconstruction from a code drawn with the given noise."""
        mean, log_variance = self.encode(inputs["image"])
        return self.decode(mean + ops.exp(0.5 * log_variance) * inputs["noise"])

    # === Training ===

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the means that are shown and reset every epoch."""
        return self.losses_shown

    def _bound(self, data: Any) -> tuple[Any, Any, Any]:
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        mean, log_variance = self.encode(inputs["image"])
        noise = ops.cast(inputs["noise"], mean.dtype)
        logits = ops.cast(self.decode_logits(mean + ops.exp(0.5 * log_variance) * noise), "float32")
        mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
        target = ops.cast(target, "float32") / 255.0
        pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
        reconstruction = ops.mean(ops.sum(pixels, axis=(1, 2, 3)))
        kl = -0.5 * ops.sum(1.0 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)
        return reconstruction + self.beta * ops.mean(kl), reconstruction, ops.mean(kl)

    def _show(self, losses: tuple[Any, Any, Any]) -> dict[str, Any]:
        for metric, value in zip(self.losses_shown, losses, strict=True):
            metric.update_state(value)
        return {m.name: m.result() for m in self.losses_shown}

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step on the negative evidence lower bound, in nats an image."""
        with tf.GradientTape() as tape:
            losses = self._bound(data)
        gradients = tape.gradient(losses[0], self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._show(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the same losses without a step."""
        return self._show(self._bound(data))

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@register(
    data="fashion_mnist",
    task=Autoencoding(),
    recipes={"default": Recipe(epochs=8, batch_size=128, learning_rate=2e-3, optimizer="adam")},
    tiny={"latent_dim": 4, "filters": (8, 8)},
    card=Card(paper="Kingma, Welling 2014, arXiv:1312.6114"),
)
def autoencoder(
    latent_dim: int = 16,
    filters: Sequence[int] = (32, 64),
    beta: float = 1.0,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Variational autoencoder of 28x28 grey images, with its noise as an explicit input.

    Shapes: image (B, 28, 28, 1) in [0, 255], noise (B, latent_dim) -> reconstruction (B, 28, 28, 1) in [0, 255].
    """
    model = VariationalAutoencoder(latent_dim, filters, beta, image_shape, name="autoencoder")
    noise = keras.Input((latent_dim,), name="noise")
    model({"image": keras.Input(tuple(image_shape), name="image"), "noise": noise})  # shapes only
    return model
