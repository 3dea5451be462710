"""The weights of MTCNN, from the files of its Python package for TensorFlow (MIT).

Source:    PyPI mtcnn 1.0.0, whose three files joblib wrote, compressed by LZ4; the values are those of github.com/
           davidsandberg/facenet, of the authors of the paper.
"""

from pathlib import Path

import numpy as np

from pipelines.sources.packages import Wheel
from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import joblib_pickle

NETWORKS = ("pnet", "rnet", "onet")


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the files of all networks, in the order of their layers."""
    files = {network: joblib_pickle.read(file.with_name(f"{network}.lz4")) for network in NETWORKS}
    return {f"{network} {i}": array for network, arrays in files.items() for i, array in enumerate(arrays)}


MTCNN = PackagedWeights(
    name="faces",
    wheel=Wheel(
        "mtcnn", "1.0.0", "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144", "mtcnn/assets/weights"
    ),
    file="onet.lz4",
    sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    size=1_557_637 + 401_659 + 27_119,
    licence="MIT",
    trained_on="faces of WIDER FACE, and landmarks of CelebA",
    tensors=read,
    others={
        "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    },
    homepage="https://github.com/ipazc/mtcnn",
    features={"image": "encoded image", "boxes": "float32 (faces, 4)"},
    known=lambda file: {"class_names": ("face",)},
)
