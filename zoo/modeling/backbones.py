"""Pretrained backbones: pixels in [0, 255] -> one embedding per image, or features at several sizes.

A backbone is given by name: `efficientnet_lite0` to `4` (of this zoo), one of `keras.applications`
(keras.io/api/applications), or a SavedModel that `tensorflow_hub` reads (a handle, or a folder).
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.core import registry
from zoo.modeling import efficientnet_lite
from zoobase.errors import CheckFailed, MissingError, UsageError, ZooError, unknown
from zoobase.files import cache_root

LEVELS = ("last", "middle")
BACKBONE, EMBEDDING, STANDARDISE = "backbone", "embedding", "standardise"  # layers of a classifier on a backbone
HEAD = (STANDARDISE, "dropout", "logits")
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
APPLICATIONS = tuple(_NETWORKS)
TINY = "efficientnet_lite_tiny"  # for fast tests; has no pretrained weights


@dataclass(frozen=True)
class Backbone:
    """A backbone network."""

    # (image shape, level) -> model with random weights: image (B, H, W, 3) in [0, 255] -> embedding (B, D); of texts
    # (size of the vocabulary) -> model: tokens (B, L) int32 -> embedding (B, D)
    build: Callable[..., keras.Model]
    # loads pretrained weights into such a model; None if `build` does so, or if there are none
    pretrain: Callable[[keras.Model], None] | None
    origin: str  # source of the pretrained weights; "" if there are none


def get(name: str) -> Backbone:
    """Return a backbone by name; UsageError with the closest matches for an unknown name."""
    models = [entry for entry in registry.entries().values() if entry.module == "zoo.models.efficientnet_lite"]
    scales = {entry.name: (entry.defaults["width"], entry.defaults["depth"]) for entry in models} | {TINY: (0.25, 0.3)}
    if name in scales:
        width, depth = scales[name]  # some have ImageNet weights from a Python package
        pretrained = name != TINY and "imagenet" in registry.get_entry(name).weights
        return Backbone(
            lambda shape, level: efficientnet_lite.features("backbone", shape, width, depth, level),
            functools.partial(_pretrain_lite, name) if pretrained else None,
            "ImageNet" if pretrained else "",
        )
    if name in APPLICATIONS:
        return Backbone(
            functools.partial(_build_application, name),
            functools.partial(_pretrain_application, name),
            "ImageNet, by Keras",
        )
    if name.startswith("https://") or Path(name).is_dir():
        # Keras 3 does not accept `hub.KerasLayer`: `SavedModel` tracks its variables. A `.keras` file needs the folder.
        return Backbone(functools.partial(_build_saved_model, name), None, f"SavedModel {name}")
    raise unknown("backbone", name, (*scales, *APPLICATIONS))


def _network(name: str, image_shape: Sequence[int], weights: str | None) -> keras.Model:
    make = getattr(keras.applications, _NETWORKS[name][0])
    return make(include_top=False, weights=weights, input_shape=tuple(image_shape))


def _build_application(name: str, image_shape: Sequence[int], level: str) -> keras.Model:
    _, scaling, middle = _NETWORKS[name]
    body = _network(name, image_shape, None)
    if level == "middle":
        if middle not in {layer.name for layer in body.layers}:
            raise UsageError(f"{name} has no middle level; use --set task.policy=head, or another --backbone")
        body = keras.Model(body.input, body.get_layer(middle).output, name=name)
    image = keras.Input(tuple(image_shape), name="image")
    x = image if scaling is None else keras.layers.Rescaling(*scaling, name="rescale")(image)
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(body(x))
    return keras.Model(image, embedding, name="backbone")


def _pretrain_application(name: str, model: keras.Model) -> None:
    try:
        donor = _network(name, model.input.shape[1:], "imagenet")
    except Exception as error:  # Keras raises plain Exception for a failed download
        raise MissingError(
            f"the ImageNet weights of {name} cannot be downloaded; use --backbone efficientnet_lite0, "
            "whose weights are in a Python package, or --set task.pretrained=false"
        ) from error
    weights = {v.path: v for v in donor.weights}
    body = next(layer for layer in model.layers if layer.name == donor.name)
    for variable in body.weights:
        variable.assign(weights[variable.path])


@keras.saving.register_keras_serializable("zoo")
class SavedModel(keras.layers.Layer):
    """A SavedModel as a layer: images (B, H, W, 3) in [0, 1], the convention of TF Hub, -> embedding (B, D)."""

    def __init__(self, handle: str, **kwargs: Any) -> None:
        """Load `handle`, a URL of TF Hub or a folder."""
        super().__init__(**kwargs)
        self.handle = handle
        self.loaded = _load(handle)
        variables = {v.ref(): v for v in getattr(self.loaded, "variables", ())}
        trainable = {v.ref() for v in getattr(self.loaded, "trainable_variables", ())}
        self.adopted = []
        for ref, variable in variables.items():
            tracked = keras.Variable(
                initializer=variable, trainable=ref in trainable, name=variable.name.split(":")[0].replace("/", "_")
            )
            self._track_variable(tracked)
            self.adopted.append(tracked)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return the embedding; batch statistics are not updated while the layer is frozen."""
        try:
            return self.loaded(images, training=bool(training) and self.trainable)
        except (TypeError, ValueError):
            return self.loaded(images)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "handle": self.handle}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SavedModel:
        """Return the layer of a saved model; MissingError if it is neither a local folder nor downloaded."""
        # Whoever wrote that file must not make this machine ask a server.
        handle = str(config["handle"])
        if _downloaded(handle) is None:
            raise MissingError(
                f"the SavedModel {handle} is not on this machine, and nothing is downloaded while a file is loaded; "
                "--backbone of python -m zoo.train, or zoo.build(backbone=...), downloads it"
            )
        return cls(**config)


def _load(handle: str) -> Any:
    from export.artifacts import check_trusted, describe

    try:
        folder = _folder(handle)
        check_trusted(describe(Path(folder)), ())  # before it is loaded
        loaded = tf.saved_model.load(folder)
    except CheckFailed:
        raise
    except Exception as error:  # hub, its resolvers and the network have no common base class
        raise MissingError(f"cannot load {handle}: {str(error).strip().splitlines()[-1]}") from error
    if not callable(loaded):
        raise UsageError(f"{handle} is a SavedModel that is not callable; use the reusable form of TF Hub (TF2)")
    return loaded


def _folder(handle: str) -> str:
    """Return the folder of a SavedModel, which is downloaded if necessary."""
    # Only for a download: tensorflow_hub imports tf_keras, which the verification of artifacts does not allow.
    if folder := _downloaded(handle):
        return folder
    import tensorflow_hub as hub

    os.environ["TFHUB_CACHE_DIR"] = str(_hub_cache())
    return hub.resolve(handle)


def _downloaded(handle: str) -> str | None:
    """Return the folder of a SavedModel that is on this machine: tensorflow_hub stores each handle under its SHA-1."""
    folders = (handle, str(_hub_cache() / hashlib.sha1(handle.encode()).hexdigest()))
    return next((folder for folder in folders if (Path(folder) / "saved_model.pb").is_file()), None)


def _hub_cache() -> Path:
    """Return the folder of downloaded modules: $TFHUB_CACHE_DIR, else one that others cannot write to."""
    # TensorFlow Hub's default lies in the common temporary folder, where another user could have put anything.
    cache = Path(os.environ.get("TFHUB_CACHE_DIR") or cache_root() / "tfhub")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and cache.stat().st_uid != os.getuid():
        raise ZooError(f"{cache} belongs to another user: set TFHUB_CACHE_DIR to a folder of your own")
    return cache


def _build_saved_model(name: str, image_shape: Sequence[int], level: str) -> keras.Model:
    if level == "middle":
        raise UsageError(f"{name} has no middle level; use --set task.policy=head")
    image = keras.Input(tuple(image_shape), name="image")
    scaled = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    embedding = SavedModel(name, name="saved_model")(scaled)
    if len(embedding.shape) == 4:
        embedding = keras.layers.GlobalAveragePooling2D(name="pool")(embedding)
    if len(embedding.shape) != 2 or embedding.shape[-1] is None:
        raise UsageError(
            f"{name} returns {tuple(embedding.shape)}; a backbone must return one embedding per image (B, D)"
        )
    return keras.Model(image, embedding, name="backbone")


def _pretrain_lite(name: str, model: keras.Model) -> None:
    whole = registry.get_builder(name)()
    whole.load_weights(registry.get_spec(name).weights["imagenet"].fetch())
    weights = {v.path: v for v in whole.weights}
    for variable in model.weights:
        variable.assign(weights[variable.path])


def pyramid(name: str, image_shape: Sequence[int], stages: int) -> keras.Model:
    """Return the features of a backbone at each size, with random weights: the encoder of `unet` and `detector`."""
    # image (B, H, W, 3) in [0, 255] -> a list of (B, H / 2**i, W / 2**i, C_i) for i = 1 to `stages`: the outputs of
    # the last layer of each size, often the widest. It has the name of the backbone, whose `pretrain` takes it.
    if image_shape[-1] != 3:
        raise UsageError(f"{name} takes images of 3 channels, not {image_shape[-1]}: use --set task.channels=3")
    whole = get(name).build(image_shape, "last")
    body = next((layer for layer in whole.layers if isinstance(layer, keras.Model)), whole)
    last = {tuple(x.shape[1:3]): x for layer in body.layers if len((x := layer.output).shape) == 4}
    sizes = [(image_shape[0] >> i, image_shape[1] >> i) for i in range(1, stages + 1)]
    if missing := [size for size in sizes if size not in last]:
        height, width = missing[0]
        raise UsageError(
            f"{name} has no features of {height}x{width}: choose a smaller model.depth, or another encoder"
        )
    features = keras.Model(body.input, [last[size] for size in sizes], name=name if body is whole else body.name)
    if body is whole:
        return features
    image = keras.Input(tuple(image_shape), name="image")
    x = image
    for layer in whole.layers[1 : whole.layers.index(body)]:  # scales the pixels
        x = layer(x)
    return keras.Model(image, features(x), name=name)


def classifier(
    name: str, num_classes: int, backbone: str, level: str, dropout: float, image_shape: tuple[int, ...]
) -> keras.Model:
    """Return a classifier of images on a backbone: (B, *image_shape) in [0, 255] -> logits (B, num_classes) float32."""
    return on_backbone(name, get(backbone).build(image_shape, level), num_classes, dropout)


def on_backbone(name: str, body: keras.Model, num_classes: int, dropout: float) -> keras.Model:
    """Return a classifier whose head takes the embedding of a backbone: logits (B, num_classes) float32."""
    start = keras.Input(body.input.shape[1:], dtype=body.input.dtype, name=body.input.name)
    x = keras.layers.Identity(name=EMBEDDING)(body(start))
    x = keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-12, name=STANDARDISE)(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    # zeros: with few images the random part of a kernel that training does not change would stay, and cost accuracy
    head = keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype="float32", name="logits")
    return keras.Model(start, head(x), name=name)
