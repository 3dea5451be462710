"""Images of a class from noise by flow matching, with a small U-Net.

Reference: Lipman, Chen, Ben-Hamu, Nickel, Le 2023, arXiv:2210.02747, and Liu, Gong, Liu 2023, arXiv:2209.03003: the
velocity on straight paths from noise to images; Ho, Salimans 2022, arXiv:2207.12598: guidance without a classifier;
Esser 2024, arXiv:2403.03206: logit-normal times; Dhariwal, Nichol 2021, arXiv:2105.05233: the blocks.
Train:     python -m zoo.train flow_matching
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.losses import MultiLossModel
from zoo.tasks.generative.image_generation import ClassImageGeneration
from zoobase.errors import UsageError

FREQUENCIES = 2 * np.pi * np.geomspace(0.25, 32, 16).astype(np.float32)  # of the sinusoids of the time

# === Layers ===


def _modulated(x: Any, condition: Any, name: str) -> Any:  # (B, H, W, C), (B, D) -> (B, H, W, C)
    """Return SiLU of group normalization that is scaled and shifted by a linear function of the condition."""
    # As matrix multiplications of the moments of the channels, and one of the pixels: Keras' layer takes means of five
    # dimensions, which XNNPACK does not support.
    size = x.shape[-1] // (groups := math.gcd(8, x.shape[-1]))
    average = np.kron(np.eye(groups), np.full((size, size), 1 / size)).astype(np.float32)
    modulation = layers.Dense(2 * x.shape[-1], kernel_initializer="zeros", dtype="float32", name=f"{name}_modulation")
    scale, shift = ops.split(modulation(condition), 2, axis=-1)
    mean, variance = ops.moments(ops.cast(x, "float32"), axes=(1, 2))
    center = ops.matmul(mean, average)
    scale = (1.0 + scale) * ops.rsqrt(ops.matmul(variance + ops.square(mean - center), average) + 1e-5)
    parts = (scale, shift - center * scale)
    scale, shift = (ops.cast(ops.reshape(part, (-1, 1, 1, x.shape[-1])), x.dtype) for part in parts)
    return layers.Activation("silu", name=f"{name}_silu")(x * scale + shift)


def _block(x: Any, condition: Any, filters: int, name: str) -> Any:  # (B, H, W, C), (B, D) -> (B, H, W, filters)
    y = x
    for i, initializer in enumerate(("glorot_uniform", "zeros")):
        conv = layers.Conv2D(filters, 3, padding="same", kernel_initializer=initializer, name=f"{name}_conv{i}")
        y = conv(_modulated(y, condition, f"{name}_{i}"))
    x = x if x.shape[-1] == filters else layers.Conv2D(filters, 1, name=f"{name}_skip")(x)
    return layers.Add(name=f"{name}_add")([x, y])


def _unet(num_classes: int, filters: Sequence[int], shape: Sequence[int]) -> keras.Model:
    """Return the network: point (B, H, W, C), sinusoids (B, 32), class id (B,) -> velocity (B, H, W, C) float32."""
    point, class_id = keras.Input(tuple(shape), name="point"), keras.Input((), dtype="int32", name="class_id")
    time, width = keras.Input((2 * len(FREQUENCIES),), name="time"), 2 * filters[0]
    hidden = layers.Dense(width, activation="silu", name="time_hidden")(time)
    classes = layers.Embedding(num_classes + 1, width, name="classes")(class_id)
    condition = layers.Add(name="condition")([layers.Dense(width, name="time_vector")(hidden), classes])
    condition = layers.Activation("silu", name="condition_silu")(condition)
    x, skips = point, []
    for i, f in enumerate(filters):
        x = layers.Conv2D(f, 2 if i else 4, strides=2, padding="same", name=f"down{i}_smaller")(x)
        x = _block(x, condition, f, f"down{i}")
        skips.append(x)
    x = _block(x, condition, filters[-1], "middle")
    for i in reversed(range(len(filters) - 1)):
        x = layers.Conv2DTranspose(filters[i], 2, strides=2, name=f"up{i}_larger")(x)
        x = layers.Concatenate(name=f"up{i}_both")([x, skips[i]])
        x = _block(x, condition, filters[i], f"up{i}")
    last = layers.Conv2DTranspose(shape[-1], 4, 2, padding="same", dtype="float32", name="velocity")
    inputs = {"point": point, "time": time, "class_id": class_id}
    return keras.Model(inputs, last(_modulated(x, condition, "out")), name="unet")


# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class FlowMatching(MultiLossModel):
    """Velocities from noise to images, and a sampler that follows them; see `flow_matching`.

    Inputs: noise (B, H * W * C), class_id (B,) int32. Output: image (B, H, W, C) float32 in [0, 255].
    """

    def __init__(
        self, num_classes: int, filters: Sequence[int], steps: int, guidance: float, shape: Sequence[int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = {"num_classes": num_classes, "filters": list(filters), "steps": steps}
        self.arguments |= {"guidance": guidance, "shape": list(shape)}
        self.num_classes, self.steps, self.guidance, self.image_shape = num_classes, steps, guidance, tuple(shape)
        self.network, self.built = _unet(num_classes, filters, shape), True

    def velocity(self, point: Any, time: Any, class_id: Any, training: bool = False) -> Any:
        """Return d point / d time (B, H, W, C) at points (B, H, W, C) and times (B,) or (1,) in [0, 1]."""
        phase = ops.expand_dims(time, 1) * FREQUENCIES
        sinusoids = ops.concatenate([ops.cos(phase), ops.sin(phase)], axis=-1)
        inputs = {"point": point, "time": sinusoids, "class_id": ops.cast(class_id, "int32")}
        return self.network(inputs, training=training)

    def guided_velocity(self, point: Any, time: float, class_id: Any) -> Any:
        """Return the velocity of a class, extrapolated by `guidance` from that of no class."""
        ids = ops.concatenate([class_id, ops.full_like(class_id, self.num_classes)], axis=0)
        both = self.velocity(ops.concatenate([point, point], axis=0), np.full(1, time, np.float32), ids)
        of_class, of_none = ops.split(both, 2, axis=0)
        return of_none + self.guidance * (of_class - of_none)

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return images, by the method of Euler."""
        class_id, step = inputs["class_id"], 1.0 / self.steps
        point = ops.reshape(ops.cast(inputs["noise"], "float32"), (-1, *self.image_shape))
        for i in range(self.steps):
            point = point + step * self.guided_velocity(point, i * step, class_id)
        return ops.clip(127.5 * point + 127.5, 0.0, 255.0)

    # === Training ===

    def batch_losses(self, inputs: Mapping[str, Any], target: Any, training: bool) -> tuple[Any, ...]:
        """Return the squared error (B,) of the velocity from noise to image, at a point between them."""
        image = ops.cast(target, "float32") / 127.5 - 1.0
        noise, time = (ops.reshape(inputs[k], (-1, *s)) for k, s in (("noise", self.image_shape), ("time", (1, 1, 1))))
        velocity = self.velocity(noise + time * (image - noise), inputs["time"], inputs["condition"], training)
        return (ops.mean(ops.square(velocity - (image - noise)), axis=(1, 2, 3)),)


@register(
    data="fashion_mnist",
    task=ClassImageGeneration(),
    recipes={
        "default": Recipe(
            epochs=15, batch_size=128, learning_rate=5e-3, optimizer="muon", warmup=0.05, clip_norm=1.0, ema=0.995
        )
    },
    tiny={"filters": (4, 8), "steps": 1, "recipe.ema": 0.0},
    card=Card(
        paper="Lipman, Chen, Ben-Hamu, Nickel, Le 2023, arXiv:2210.02747; Ho, Salimans 2022, arXiv:2207.12598",
        expect={"frechet_distance": 0.3157, "frechet_to_noise": 0.01124, "precision": 0.8754, "recall": 0.5035},
        command="python -m zoo.train flow_matching --precision float32",
        measured_on="2 cores of an AMD EPYC with AVX-512 under other load: 15 epochs, of 130 to 216 s with "
        "a core of its own; seed 0",
        baselines={"dcgan": 1.138, "Gaussian mixture of principal components": 3.665},
        notes="Generates images of the training domain only: clothes in 28x28 grey pixels.",
        data_notes="The shipped weights are rounded to 8 bits; the figures are theirs, and 0.3276 before.",
    ),
)
def flow_matching(
    num_classes: int = 10,
    filters: Sequence[int] = (32, 64),
    steps: int = 10,
    guidance: float = 1.5,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Images of a class from noise: a velocity field that is followed in a few steps, inside the model.

    Shapes: {"noise": (B, H * W * C) standard normal, "class_id": (B,) int32} -> image (B, H, W, C) float32 in [0, 255].

    Args:
        num_classes: Number of classes; determined by the data.
        filters: Filters of the U-Net at half, a quarter, ... of height and width.
        steps: Steps of Euler's method, each with an evaluation of the network for the class and one for any class.
        guidance: 1 is the velocity of the class; more moves further away from images of any class.
        image_shape: (H, W, C); determined by the data.

    Raises:
        UsageError: Height or width cannot be halved for each of the filters, or there are no steps.
    """
    if any(side % 2 ** len(filters) for side in image_shape[:2]):
        raise UsageError(
            f"images of {image_shape[0]}x{image_shape[1]} cannot be halved {len(filters)} times: use fewer filters"
        )
    if steps < 1:
        raise UsageError(f"model.steps={steps} is not valid: it must be positive")
    model = FlowMatching(num_classes, filters, steps, guidance, image_shape, name="flow_matching")
    noise = keras.Input((math.prod(image_shape),), name="noise")
    model({"noise": noise, "class_id": keras.Input((), dtype="int32", name="class_id")})
    return model
