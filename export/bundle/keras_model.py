"""An endpoint of a SavedModel as a Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.contract.endpoints import Endpoint
from export.runtime.backend import load_tensorflow

if TYPE_CHECKING:
    import keras


def keras_model(path: Path, endpoint: Endpoint) -> keras.Model:
    """Return a functional model of one `keras.layers.TFSMLayer`: {input name: tensor} -> {output name: tensor}."""
    load_tensorflow()
    import keras

    class Signature(keras.layers.TFSMLayer):
        """A TFSMLayer that calls the signature, not the function of the same name, whose arguments have no names."""

        def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
            return self._reloaded_obj.signatures[self.call_endpoint](**inputs)

    inputs = {t.name: keras.Input(t.shape[1:], t.shape[0], dtype=t.dtype, name=t.name) for t in endpoint.inputs}
    layer = Signature(str(path), call_endpoint=endpoint.name, trainable=False)
    return keras.Model(inputs, layer(inputs), name=endpoint.name, trainable=False)
