"""Networks that several models share: image to image, and image to scores."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from zoo.modeling.layers import CropLike, InstanceNormalization, NearestUpsampling2D, ReflectionPadding2D


def instance_norm(name: str) -> layers.Layer:
    """Return instance normalisation: one group per channel."""
    return InstanceNormalization(groups=-1, epsilon=1e-5, name=f"{name}_norm")


def _conv(x: Any, filters: int, size: int, name: str, strides: int = 1, bias: bool = False) -> Any:  # (B, H', W', f)
    x = ReflectionPadding2D(size // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(filters, size, strides, use_bias=bias, name=f"{name}_conv")(x)


def _block(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    return layers.ReLU(name=f"{name}_relu")(instance_norm(name)(_conv(x, filters, size, name, strides)))


def _residual(x: Any, filters: int, name: str) -> Any:  # (B, H, W, filters) -> the same shape
    y = instance_norm(f"{name}_1")(_conv(_block(x, filters, 3, f"{name}_0"), filters, 3, f"{name}_1"))
    return layers.Add(name=f"{name}_add")([x, y])


def residual_network(
    filters: Sequence[int],
    depth: int,
    shape: Sequence[int | None] = (None, None, 3),
    size: int = 9,
    name: str = "network",
    ends: tuple[str, str] = ("image", "stylised"),
) -> keras.Model:
    """Return the network of Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155, which Zhu 2017 uses too.

    Upsampling is nearest-neighbour followed by a convolution, as in Johnson's code: no checkerboard artifacts.
    Shapes: (B, H, W, C) in [0, 255] -> the same shape, float32 in [0, 255]. Each of the `filters` after the first
    halves height and width; `depth` counts the residual blocks at the smallest size.
    """
    image = keras.Input(tuple(shape), name=ends[0])
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(image)
    x = _block(x, filters[0], size, "in")
    for i, f in enumerate(filters[1:]):
        x = _block(x, f, 3, f"down{i}", strides=2)
    for i in range(depth):
        x = _residual(x, filters[-1], f"residual{i}")
    for i, f in enumerate(reversed(filters[:-1])):
        x = _block(NearestUpsampling2D(name=f"up{i}_larger")(x), f, 3, f"up{i}")
    x = layers.Activation("sigmoid", dtype="float32", name="colours")(_conv(x, shape[-1], size, "out", bias=True))
    x = layers.Rescaling(255.0, dtype="float32", name="pixels")(x)
    return keras.Model(image, CropLike(dtype="float32", name=ends[1])([x, image]), name=name)


def patch_discriminator(
    shape: Sequence[int],
    filters: int,
    norm: Callable[[str], layers.Layer],
    images: Sequence[str] = ("image",),
    name: str = "discriminator",
) -> keras.Model:
    """Return the PatchGAN discriminator of Isola 2017, arXiv:1611.07004, which scores patches of an image.

    The receptive field of a score is 70x70 pixels for images of 256x256, 34x34 for 128x128, and 16x16 for smaller ones.
    Shapes: images (B, H, W, C) in [0, 255], concatenated along the channels -> scores (B, h, w, 1).
    """
    inputs = [keras.Input(tuple(shape), name=image) for image in images]
    x = layers.Concatenate(dtype="float32", name="together")(inputs) if len(inputs) > 1 else inputs[0]
    x = layers.Rescaling(1 / 127.5, -1, dtype="float32", name="rescale")(x)
    stages = min(3, max(1, round(math.log2(max(shape[:2]))) - 5))
    for i in range(stages + 1):
        x = layers.Conv2D(
            min(2**i, 8) * filters,
            4,
            strides=2 if i < stages else 1,
            padding="same",
            use_bias=not i,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            name=f"down{i}",
        )(x)
        x = layers.LeakyReLU(0.2, name=f"down{i}_leak")(norm(f"down{i}")(x) if i else x)
    scores = layers.Conv2D(
        1, 4, padding="same", kernel_initializer=keras.initializers.RandomNormal(stddev=0.02), name="score"
    )(x)
    return keras.Model(inputs, scores, name=name)


# === Ensembles ===

CORE = "core"  # the part of a model of which an ensemble has several


def ensemble_of(build: Callable[[str, str], keras.Model], count: int) -> keras.Model:
    """Return the core of a model: one, or the mean of the outputs of `count`, whose inputs have names.

    `build`: (name, prefix of the names of its layers) -> a model with one output; the prefix differs, because a HDF5
    file has the variables of all members in one group.
    """
    if count == 1:
        return build(CORE, "")
    models = [build(f"{CORE}_{i}", f"{i}_") for i in range(count)]
    inputs = {name: keras.Input(x.shape[1:], dtype=x.dtype, name=name) for name, x in models[0]._inputs_struct.items()}
    mean = layers.Average(name=models[0].output_names[0].removeprefix("0_"))([model(inputs) for model in models])
    return keras.Model(inputs, mean, name=CORE)


def flip_tta(core: keras.Model, image: Any) -> Any:
    """Return the mean of the outputs of a core for images (B, H, W, C) and for their horizontal mirror images.

    Both are in the graph, so that every artifact averages (Krizhevsky 2012, section 4.1, averages crops and mirrors).
    """
    outputs = [core({"image": x}) for x in (image, keras.ops.flip(image, axis=2))]
    return layers.Average(name=f"mean_{core.output_names[0]}")(outputs)


def assemble(model: keras.Model, trained: Sequence[keras.Model]) -> None:
    """Give the core of a model, or each member of it, the weights of models that were trained alone."""
    core = model.get_layer(CORE)
    members = [core] if len(trained) == 1 else [core.get_layer(f"{CORE}_{i}") for i in range(len(trained))]
    for member, alone in zip(members, trained, strict=True):
        member.set_weights(alone.get_weights())
