"""Image to image translation without pairs: two generators that undo one another, and a discriminator for each.

Reference: Zhu, Park, Isola, Efros 2017, arXiv:1703.10593: least squares (Mao 2017, arXiv:1611.04076), discriminators of
patches that are taught with fakes of the past (Shrivastava 2017, arXiv:1612.07828), cycle and identity losses.
Train:     python -m zoo.train cyclegan
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.core.errors import UsageError
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.blocks import instance_norm, patch_discriminator, residual_network
from zoo.modeling.gan import AdversarialModel, least_squares
from zoo.tasks.generative.unpaired_image_translation import UnpairedImageTranslation

# === Layers ===


class ImagePool(keras.layers.Layer):
    """Fakes of the past: once it is full, every second one that is given comes back as an old one, and takes its place.

    What it holds, and its random numbers, are variables, so that a resumed training goes on with them.
    Shapes: (B, H, W, C) float32 -> the same; images beyond `size` of one batch pass by.
    """

    def __init__(self, size: int, shape: Sequence[int], **kwargs: Any) -> None:
        """Hold `size` images of `shape` (H, W, C)."""
        super().__init__(dtype="float32", **kwargs)
        self.size = size
        self.images = self.add_weight(shape=(size, *shape), initializer="zeros", trainable=False, name="images")
        self.seen = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="seen")
        self.random = keras.random.SeedGenerator(seed=0)
        self.built = True

    def call(self, images: Any) -> Any:
        """Return images, some of them exchanged for older ones."""
        count = tf.minimum(tf.shape(images)[0], self.size)
        chance = keras.random.uniform((2, self.size), seed=self.random)
        seen, held = tf.convert_to_tensor(self.seen), tf.convert_to_tensor(self.images)
        full = seen >= self.size
        filling = (seen + tf.range(count)) % self.size
        places = tf.where(full, tf.argsort(chance[0])[:count], filling)[:, None]
        swapped = full & (chance[1, :count] < 0.5)
        fresh, old = images[:count], tf.gather_nd(held, places)
        self.images.assign(tf.tensor_scatter_nd_update(held, places, tf.where(_each(full & ~swapped), old, fresh)))
        self.seen.assign(tf.minimum(seen + count, self.size))
        return tf.concat([tf.where(_each(swapped), old, fresh), images[count:]], axis=0)


def _each(condition: Any) -> Any:
    return tf.reshape(condition, [-1, 1, 1, 1])


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class CycleGAN(AdversarialModel):
    """Generators `a2b` and `b2a`, discriminators of a and of b; arguments as of `cyclegan`.

    Input: {"a", "b"}, each (B, H, W, C) in [0, 255]. Output: {"b": made of a, "a": made of b}.
    """

    loss_names = ("g_loss", "d_loss", "adversarial", "cycle", "identity")

    def __init__(
        self,
        filters: Sequence[int],
        depth: int,
        cycle_weight: float,
        identity_weight: float,
        pool: int,
        image_shape: Sequence[int],
        **kwargs: Any,
    ) -> None:
        """Make the four networks and the two pools."""
        weights = {"cycle_weight": cycle_weight, "identity_weight": identity_weight}
        shapes = {"filters": list(filters), "depth": depth, "pool": pool, "image_shape": list(image_shape)}
        super().__init__(weights | shapes, **kwargs)
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.a2b, self.b2a = (
            residual_network(filters, depth, image_shape, size=7, name=f"{one}2{other}", ends=(one, other))
            for one, other in ("ab", "ba")
        )
        self.discriminator_a, self.discriminator_b = (
            patch_discriminator(image_shape, filters[0], instance_norm, name=f"discriminator_{side}") for side in "ab"
        )
        self.pool_a, self.pool_b = (ImagePool(pool, image_shape, name=f"pool_{side}") for side in "ab")

    def generators(self) -> Sequence[keras.Model]:
        """Return both generators."""
        return self.a2b, self.b2a

    def discriminators(self) -> Sequence[keras.Model]:
        """Return both discriminators."""
        return self.discriminator_a, self.discriminator_b

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Return what becomes of both sides."""
        return {"b": self.a2b(inputs["a"], training=training), "a": self.b2a(inputs["b"], training=training)}

    # === Training ===

    def compute_losses(self, inputs: Any, target: Any, training: bool) -> tuple[Mapping[str, Any], Sequence[tuple[Any, Any]]]:
        """Return the losses of both sides; distances are of pixels in [-1, 1].

        Instances are normalised one by one, so that what goes through the same network may go in one batch.
        """
        a, b = (tf.cast(inputs[side], tf.float32) for side in "ab")
        fake_b, same_b = tf.split(self.a2b(tf.concat([a, b], 0), training=training), 2)
        fake_a, same_a = tf.split(self.b2a(tf.concat([b, a], 0), training=training), 2)
        back_a, back_b = self.b2a(fake_b, training=training), self.a2b(fake_a, training=training)
        judged = [
            self._judge(discriminator, real, made, pool if training else None)
            for discriminator, real, made, pool in (
                (self.discriminator_a, a, fake_a, self.pool_a),
                (self.discriminator_b, b, fake_b, self.pool_b),
            )
        ]
        adversarial, teaching = (judged[0][i] + judged[1][i] for i in (0, 1))
        cycle, identity = _l1(a, back_a) + _l1(b, back_b), _l1(a, same_a) + _l1(b, same_b)
        losses = {
            "g_loss": adversarial + self.cycle_weight * cycle + self.identity_weight * identity,
            "d_loss": teaching,
            "adversarial": adversarial,
            "cycle": cycle,
            "identity": identity,
        }
        return losses, [(b, fake_b), (a, fake_a)]

    def _judge(self, discriminator: keras.Model, real: Any, made: Any, pool: ImagePool | None) -> tuple[Any, Any]:
        """Return the generator's loss and the discriminator's, who sees fakes of the past where there is a pool."""
        shown = made if pool is None else pool(tf.stop_gradient(made))
        on_made, on_real, on_shown = tf.split(discriminator(tf.concat([made, real, shown], 0)), 3)
        return (
            least_squares(on_made, real=True),
            0.5 * (least_squares(on_real, real=True) + least_squares(on_shown, real=False)),
        )

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the losses and distances, and the mean of the distances as `frechet_distance`."""
        logs = super().test_step(data)
        both = [logs[metric.name] for metric in self.distances]
        return logs | ({"frechet_distance": tf.add_n(both) / len(both)} if both else {})


def _l1(real: Any, made: Any) -> Any:
    return tf.reduce_mean(tf.abs(real - made)) / 127.5


_PLAIN = Recipe(epochs=6, batch_size=16, learning_rate=2e-4, optimizer="adam", momentum=0.5, schedule="constant")
_PAPER = dataclasses.replace(
    _PLAIN, epochs=200, batch_size=1, augment="flip_shift", model={"filters": [64, 128, 256], "depth": 6}
)


@register(
    data="sneakers_to_boots",
    task=UnpairedImageTranslation(),
    recipes={"default": _PLAIN, "full": _PAPER},
    tiny={"filters": (4, 8), "depth": 1, "pool": 20},
    card=Card(
        paper="Zhu, Park, Isola, Efros 2017, arXiv:1703.10593",
        expect={
            "frechet_to_input_a2b": 0.1857,
            "frechet_to_input_b2a": 0.3756,
            "cycle_error_a2b": 0.04317,
            "taken_for_target_a2b": 0.945,
        },
        command="python -m zoo.train cyclegan",
        measured_on="2 cores of an AMD EPYC, shared with other work: 6 epochs, 5 minutes",
        notes="Changes colours and textures rather than shapes; nothing says which of several ways is right.",
    ),
)
def cyclegan(
    filters: Sequence[int] = (16, 32, 64),
    depth: int = 3,
    cycle_weight: float = 10.0,
    identity_weight: float = 5.0,
    pool: int = 50,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Image to image translation that is learned without pairs, both ways: horses and zebras, sneakers and boots.

    Shapes: {"a", "b"}, each (B, H, W, C) in [0, 255] -> {"b", "a"}, each (B, H, W, C) float32 in [0, 255].

    Args:
        filters: Of the generators, from the image inwards; each after the first halves height and width. The paper has
            (64, 128, 256).
        depth: Residual blocks; the paper has 6 for images of 128x128 and 9 for 256x256.
        cycle_weight: Of the distance between what was given and what comes back.
        identity_weight: Of the distance between a picture and what becomes of it that was on the right side already.
        pool: Fakes of the past that each discriminator is shown.
        image_shape: (H, W, C); the data decides it.

    Raises:
        UsageError: Height or width is too small for that many halvings, or the pool for anything.
    """
    if min(image_shape[:2]) < 4 * 2 ** (len(filters) - 1):
        raise UsageError(f"images of {image_shape[0]}x{image_shape[1]} are too small for {len(filters) - 1} halvings")
    if pool < 1:
        raise UsageError(f"model.pool={pool} is not usable: it must be a positive whole number")
    model = CycleGAN(filters, depth, cycle_weight, identity_weight, pool, image_shape, name="cyclegan")
    model({side: keras.Input(tuple(image_shape), name=side) for side in "ab"})
    return model
