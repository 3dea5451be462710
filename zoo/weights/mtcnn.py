"""The weights of MTCNN, from the files of its Python package for TensorFlow (MIT).

Source:    PyPI mtcnn 1.0.0, whose three files joblib wrote, compressed by LZ4; the values are those of github.com/
           davidsandberg/facenet, of the authors of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Info
from pipelines.sources.packages import Wheel
from zoo.core import registry
from zoo.weights import joblib_pickle
from zoo.weights.packaged import PackagedWeights
from zoobase.errors import ZooError

if TYPE_CHECKING:
    import keras

NETWORKS = ("pnet", "rnet", "onet")


def assign(network: keras.Model, arrays: Sequence[np.ndarray]) -> None:
    """Assign the arrays of a file to a network, whose layers have their order.

    Raises:
        ZooError: Their number or a shape is another.
    """
    variables = [variable for layer in network.layers for variable in layer.weights]
    shapes, expected = [a.shape for a in arrays], [tuple(v.shape) for v in variables]
    if shapes != expected:
        raise ZooError(f"the weights of {network.name} are arrays of {shapes}, not of {expected}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _convert(file: Path) -> keras.Model:
    model = registry.get_builder("faces")()
    for name in NETWORKS:
        assign(getattr(model, name), joblib_pickle.read(file.with_name(f"{name}.lz4")))
    return model


def _info(file: Path) -> Info:
    features = {"image": "encoded image", "boxes": "float32 (faces, 4)"}
    homepage = "https://github.com/ipazc/mtcnn"
    return Info("faces", MTCNN.source, MTCNN.licence, homepage, features, {}, class_names=("face",))


MTCNN = PackagedWeights(
    "faces",
    Wheel(
        "mtcnn",
        "1.0.0",
        "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144",
        "mtcnn/assets/weights",
    ),
    "onet.lz4",
    "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    1_557_637 + 401_659 + 27_119,
    "MIT",
    "faces of WIDER FACE, and landmarks of CelebA",
    _convert,
    others={
        "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    },
    info=_info,
)
