"""Networks of `keras.applications`, with the ImageNet weights that Keras downloads: keras.io/api/applications."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.backbones import Backbone
from zoo.errors import MissingError, UsageError

if TYPE_CHECKING:
    import keras

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_UNIT = ([1 / 127.5] * 3, [-1.0] * 3)  # to [-1, 1]
_TORCH = ([1 / (255 * s) for s in _STD], [-m / s for m, s in zip(_MEAN, _STD, strict=True)])
_NETWORKS: dict[str, tuple[str, Any, str]] = {  # name -> class, scale and offset or None, layer of the middle level
    "mobilenet_v2": ("MobileNetV2", _UNIT, "block_12_add"),
    "resnet50_v2": ("ResNet50V2", _UNIT, "conv4_block5_out"),
    "xception": ("Xception", _UNIT, "add_10"),
    "inception_v3": ("InceptionV3", _UNIT, "mixed7"),
    "densenet121": ("DenseNet121", _TORCH, "pool4_pool"),
    "efficientnet_v2_b0": ("EfficientNetV2B0", None, "block5e_add"),
}
NAMES = tuple(_NETWORKS)


def get(name: str) -> Backbone:
    """Return one of `NAMES`."""
    return Backbone(functools.partial(_build, name), functools.partial(_pretrain, name), "ImageNet, by Keras")


def _network(name: str, image_shape: Sequence[int], weights: str | None) -> keras.Model:
    import keras

    make = getattr(keras.applications, _NETWORKS[name][0])
    return make(include_top=False, weights=weights, input_shape=tuple(image_shape))


def _build(name: str, image_shape: Sequence[int], level: str) -> keras.Model:
    import keras

    _, scaling, middle = _NETWORKS[name]
    body = _network(name, image_shape, None)
    if level == "middle":
        if middle not in {layer.name for layer in body.layers}:
            raise UsageError(f"{name} has no earlier level here; use --set task.policy=head, or another --backbone")
        body = keras.Model(body.input, body.get_layer(middle).output, name=name)
    image = keras.Input(tuple(image_shape), name="image")
    x = image if scaling is None else keras.layers.Rescaling(*scaling, name="rescale")(image)
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(body(x))
    return keras.Model(image, embedding, name="backbone")


def _pretrain(name: str, model: keras.Model) -> None:
    try:
        donor = _network(name, model.input.shape[1:], "imagenet")
    except Exception as error:  # Keras raises plain Exception for a failed download
        raise MissingError(
            f"the ImageNet weights of {name} cannot be downloaded here; use --backbone efficientnet_lite0, "
            "whose weights are in a Python package, or --set task.pretrained=false"
        ) from error
    held = {v.path: v for v in donor.weights}
    body = next(layer for layer in model.layers if layer.name == donor.name)
    for variable in body.weights:
        variable.assign(held[variable.path])
