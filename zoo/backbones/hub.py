"""Networks that `tensorflow_hub` reads: a handle, or the folder of a SavedModel with a callable of images.

`hub.KerasLayer` is a tf_keras layer, which Keras 3 refuses; so the loaded object is wrapped in a layer of our own that
adopts each of its variables. A saved model needs that folder, or handle, again when it is read.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from zoo.backbones import Backbone
from zoo.errors import MissingError, UsageError


@keras.saving.register_keras_serializable("zoo")
class SavedModel(keras.layers.Layer):
    """A SavedModel as a layer: images (B, H, W, 3) in [0, 1], as TF Hub has them, -> embedding (B, D)."""

    def __init__(self, handle: str, **kwargs: Any) -> None:
        """Load `handle`, a URL of TF Hub or a folder."""
        super().__init__(**kwargs)
        self.handle = handle
        self.loaded = _load(handle)
        held = {v.ref(): v for v in getattr(self.loaded, "variables", ())}
        trainable = {v.ref() for v in getattr(self.loaded, "trainable_variables", ())}
        self.adopted = []
        for ref, variable in held.items():
            mine = keras.Variable(
                initializer=variable, trainable=ref in trainable, name=variable.name.split(":")[0].replace("/", "_")
            )
            self._track_variable(mine)
            self.adopted.append(mine)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return the embedding; frozen batch statistics stay where they are."""
        try:
            return self.loaded(images, training=bool(training) and self.trainable)
        except (TypeError, ValueError):
            return self.loaded(images)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "handle": self.handle}


def get(name: str) -> Backbone:
    """Return the backbone of a handle or a folder; its weights come with it."""
    return Backbone(functools.partial(_build, name), None, f"SavedModel {name}")


def _load(handle: str) -> Any:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(_folder(handle))
    except Exception as error:  # whatever hub, its resolvers and the network raise
        raise MissingError(f"cannot load {handle}: {str(error).strip().splitlines()[-1]}") from error
    if not callable(loaded):
        raise UsageError(f"{handle} is a SavedModel without a call; give one of TF Hub's reusable form (TF2)")
    return loaded


def _folder(handle: str) -> str:
    """Return where a SavedModel lies: tensorflow_hub downloads, and keeps each handle under its SHA-1.

    Only a download imports it: it brings the legacy tf_keras along, and a proof refuses what was not asked for.
    """
    kept = Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")
    for folder in (Path(handle), kept / hashlib.sha1(handle.encode()).hexdigest()):
        if (folder / "saved_model.pb").is_file():
            return str(folder)
    import tensorflow_hub as hub

    return hub.resolve(handle)


def _build(name: str, image_shape: Sequence[int], level: str) -> keras.Model:
    if level == "middle":
        raise UsageError(f"{name} has no earlier level; use --set task.policy=head")
    image = keras.Input(tuple(image_shape), name="image")
    scaled = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    embedding = SavedModel(name, name="saved_model")(scaled)
    if len(embedding.shape) == 4:
        embedding = keras.layers.GlobalAveragePooling2D(name="pool")(embedding)
    if len(embedding.shape) != 2 or embedding.shape[-1] is None:
        raise UsageError(f"{name} gives {tuple(embedding.shape)}, but a backbone gives one embedding an image (B, D)")
    return keras.Model(image, embedding, name="backbone")


__all__ = ["SavedModel", "get"]
