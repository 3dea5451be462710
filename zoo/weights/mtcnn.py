"""The weights of MTCNN, from the files of its Python package for TensorFlow (MIT).

Source:    PyPI mtcnn 1.0.0, whose three files joblib wrote, compressed by LZ4; the values are those of github.com/
           davidsandberg/facenet, of the authors of the paper.
"""

from pathlib import Path

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import joblib_pickle

NETWORKS = ("pnet", "rnet", "onet")


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the files of all networks, in the order of their layers."""
    files = {network: joblib_pickle.read(file.with_name(f"{network}.lz4")) for network in NETWORKS}
    return {f"{network} {i}": array for network, arrays in files.items() for i, array in enumerate(arrays)}


MTCNN = PackagedWeights.pinned(
    "faces",
    tensors=read,
    features={"image": "encoded image", "boxes": "float32 (faces, 4)"},
    known=lambda file: {"class_names": ("face",)},
)
