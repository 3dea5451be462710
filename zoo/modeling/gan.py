"""Two sides that are trained against each other: what every generative adversarial model of the zoo shares.

Reference: Goodfellow 2014, arXiv:1406.2661 (the game, and the generator's loss that does not saturate); Mao 2017,
arXiv:1611.04076 (least squares).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def cross_entropy(logits: Any, real: bool) -> Any:
    """Return the loss of calling logits real or made: a scalar float32, the mean of the batch."""
    logits = tf.cast(logits, tf.float32)
    labels = tf.ones_like(logits) if real else tf.zeros_like(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def least_squares(scores: Any, real: bool) -> Any:
    """Return the squared distance of scores from 1 (real) or 0 (made): a scalar float32, the mean of the batch."""
    return tf.reduce_mean(tf.square(tf.cast(scores, tf.float32) - (1.0 if real else 0.0)))


class AdversarialModel(keras.Model):
    """Generators and discriminators with an optimizer for each side.

    A subclass says what happens in `compute_losses`, and which networks belong to which side.
    """

    loss_names: tuple[str, ...] = ("g_loss", "d_loss")

    def __init__(self, arguments: Mapping[str, Any], **kwargs: Any) -> None:
        """Remember the constructor's arguments of a subclass, for its config."""
        super().__init__(**kwargs)
        self.arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
        self.shown = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self.distances: list[keras.metrics.Metric] = []
        self.g_optimizer = self.d_optimizer = None
        self.built = True

    def generators(self) -> Sequence[keras.Model]:
        """Return the networks that `g_loss` teaches."""
        return (self.generator,)

    def discriminators(self) -> Sequence[keras.Model]:
        """Return the networks that `d_loss` teaches."""
        return (self.discriminator,)

    def compute_losses(self, inputs: Any, target: Any, training: bool) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return a scalar for each of `loss_names`, and (real, made) images for each of `distances`."""
        raise NotImplementedError

    # === Training ===

    def compile(
        self,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        distances: Sequence[keras.metrics.Metric] = (),
        **kwargs: Any,
    ) -> None:
        """Take an optimizer for each side, and metrics of (real, made) that validation shows.

        Both are built here: a resumed training finds the variables that its checkpoint fills.
        """
        super().compile(optimizer=None, **kwargs)
        self.g_optimizer, self.d_optimizer, self.distances = g_optimizer, d_optimizer, list(distances)
        for optimizer, networks in ((g_optimizer, self.generators()), (d_optimizer, self.discriminators())):
            optimizer.build(_variables(networks))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return what is reset every epoch."""
        return [*self.shown, *self.distances]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step of each side, both on the same batch and from where both stood before it."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        sides = (
            ("g_loss", self.g_optimizer, self.generators()),
            ("d_loss", self.d_optimizer, self.discriminators()),
        )
        with tf.GradientTape(persistent=True) as tape:
            losses, _ = self.compute_losses(inputs, target, training=True)
            objectives = [losses[name] + sum(p for n in networks for p in n.losses) for name, _, networks in sides]
        for objective, (_, optimizer, networks) in zip(objectives, sides, strict=True):
            variables = _variables(networks)
            optimizer.apply(tape.gradient(objective, variables), variables)
        return self._show(losses)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the same losses without a step, and the distances."""
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(data)
        losses, images = self.compute_losses(inputs, target, training=False)
        for metric, (real, made) in zip(self.distances, images, strict=False):
            metric.update_state(real, made)
        return self._show(losses) | {metric.name: metric.result() for metric in self.distances}

    def _show(self, losses: Mapping[str, Any]) -> dict[str, Any]:
        for metric in self.shown:
            metric.update_state(losses[metric.name])
        return {metric.name: metric.result() for metric in self.shown}

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


class NoiseToImage(AdversarialModel):
    """The game as it was first played: a generator that makes images of noise, and a discriminator that tells them from real.

    Input: noise (B, latent_dim), standard normal. Output: image (B, H, W, C) float32 in [0, 255].
    """

    loss_names = ("g_loss", "d_loss", "d_real", "d_made")

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, arguments: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Take noise -> image and image -> logit."""
        super().__init__(arguments, **kwargs)
        self.generator, self.discriminator = generator, discriminator

    def call(self, noise: Any, training: bool | None = None) -> Any:
        """Return the generator's images."""
        return self.generator(noise, training=training)

    def compute_losses(self, inputs: Any, target: Any, training: bool) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return the losses of both sides, and the discriminator's on real and on made images, in nats."""
        real = tf.cast(target, tf.float32)
        made = self.generator(inputs, training=training)
        judged = self.discriminator(made, training=training)
        on_real = cross_entropy(self.discriminator(real, training=training), real=True)
        on_made = cross_entropy(judged, real=False)
        losses = {
            "g_loss": cross_entropy(judged, real=True),
            "d_loss": on_real + on_made,
            "d_real": on_real,
            "d_made": on_made,
        }
        return losses, [(real, made)]


def _variables(networks: Sequence[keras.Model]) -> list[keras.Variable]:
    return [variable for network in networks for variable in network.trainable_variables]
