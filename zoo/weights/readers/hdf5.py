"""Reads the values of an HDF5 file, such as Keras writes, without its configuration."""

from pathlib import Path

import numpy as np

from zoobase.hdf5 import open_hdf5


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the values of a file by name: {"block1/layers/conv2d/vars/0": (3, 3, 3, 64), ...}."""
    names: list[str] = []
    with open_hdf5(path) as content:
        content.visit(names.append)
        return {name: np.asarray(content[name]) for name in names if hasattr(content[name], "shape")}
