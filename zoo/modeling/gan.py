"""Base classes of generative adversarial networks.

Reference: Goodfellow 2014, arXiv:1406.2661 (GAN and non-saturating generator loss); Mao 2017,
arXiv:1611.04076 (least squares loss).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def cross_entropy(logits: Any, real: bool) -> Any:
    """Return the cross-entropy of logits with the label real or fake: a scalar float32, the mean of the batch."""
    logits = tf.cast(logits, tf.float32)
    labels = tf.ones_like(logits) if real else tf.zeros_like(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def least_squares(scores: Any, real: bool) -> Any:
    """Return the squared distance of scores from 1 (real) or 0 (fake): a scalar float32, the mean of the batch."""
    return tf.reduce_mean(tf.square(tf.cast(scores, tf.float32) - (1.0 if real else 0.0)))


class AdversarialModel(keras.Model):
    """Generators and discriminators with one optimizer each.

    A subclass implements `compute_losses`, and `generators` and `discriminators` if there are several of a kind.
    """

    loss_names: tuple[str, ...] = ("g_loss", "d_loss")

    def __init__(self, arguments: Mapping[str, Any], **kwargs: Any) -> None:
        """Store the constructor's arguments of a subclass, for its config."""
        super().__init__(**kwargs)
        self.arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self.distances: list[keras.metrics.Metric] = []
        self.g_optimizer = self.d_optimizer = None
        self.built = True

    def generators(self) -> Sequence[keras.Model]:
        """Return the networks that are trained by `g_loss`."""
        return (self.generator,)

    def discriminators(self) -> Sequence[keras.Model]:
        """Return the networks that are trained by `d_loss`."""
        return (self.discriminator,)

    def compute_losses(
        self, inputs: Any, target: Any, training: bool
    ) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return a scalar for each of `loss_names`, and (real, fake) images for each of `distances`."""
        raise NotImplementedError

    # === Training ===

    def compile(
        self,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        distances: Sequence[keras.metrics.Metric] = (),
        **kwargs: Any,
    ) -> None:
        """Set the optimizers of generators and discriminators, and the validation metrics of (real, fake)."""
        # The optimizers are built here, so that a resumed training can restore their variables.
        super().compile(optimizer=None, **kwargs)
        self.g_optimizer, self.d_optimizer, self.distances = g_optimizer, d_optimizer, list(distances)
        for optimizer, networks in ((g_optimizer, self.generators()), (d_optimizer, self.discriminators())):
            optimizer.build(_variables(networks))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics, which are reset every epoch."""
        return [*self.loss_trackers, *self.distances]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update generators and discriminators simultaneously on the same batch."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        sides = (("g_loss", self.g_optimizer, self.generators()), ("d_loss", self.d_optimizer, self.discriminators()))
        with tf.GradientTape(persistent=True) as tape:
            losses, _ = self.compute_losses(inputs, target, training=True)
            objectives = [losses[name] + sum(p for n in networks for p in n.losses) for name, _, networks in sides]
        for objective, (_, optimizer, networks) in zip(objectives, sides, strict=True):
            variables = _variables(networks)
            optimizer.apply(tape.gradient(objective, variables), variables)
        return self._update_metrics(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the losses and distances without an update."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        losses, images = self.compute_losses(inputs, target, training=False)
        for metric, (real, fake) in zip(self.distances, images, strict=False):
            metric.update_state(real, fake)
        return self._update_metrics(losses) | {metric.name: metric.result() for metric in self.distances}

    def _update_metrics(self, losses: Mapping[str, Any]) -> dict[str, Any]:
        for metric in self.loss_trackers:
            metric.update_state(losses[metric.name])
        return {metric.name: metric.result() for metric in self.loss_trackers}

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


class NoiseToImage(AdversarialModel):
    """The original GAN: a generator of images from noise, and a discriminator of real and generated images.

    Input: noise (B, latent_dim), standard normal. Output: image (B, H, W, C) float32 in [0, 255].
    """

    loss_names = ("g_loss", "d_loss", "d_real", "d_made")  # columns of history.csv

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, arguments: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Combine a generator (noise -> image) and a discriminator (image -> logit)."""
        super().__init__(arguments, **kwargs)
        self.generator, self.discriminator = generator, discriminator

    def call(self, noise: Any, training: bool | None = None) -> Any:
        """Return the generator's images."""
        return self.generator(noise, training=training)

    def compute_losses(
        self, inputs: Any, target: Any, training: bool
    ) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return the losses of both networks, and the discriminator's on real and on generated images, in nats."""
        real = tf.cast(target, tf.float32)
        fake = self.generator(inputs, training=training)
        fake_logits = self.discriminator(fake, training=training)
        real_loss = cross_entropy(self.discriminator(real, training=training), real=True)
        fake_loss = cross_entropy(fake_logits, real=False)
        losses = {
            "g_loss": cross_entropy(fake_logits, real=True),
            "d_loss": real_loss + fake_loss,
            "d_real": real_loss,
            "d_made": fake_loss,
        }
        return losses, [(real, fake)]


def _variables(networks: Sequence[keras.Model]) -> list[keras.Variable]:
    return [variable for network in networks for variable in network.trainable_variables]
