"""The weights of holistically-nested edge detection, from an HDF5 file in a Python package (MIT)."""

from pathlib import Path

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoobase.hdf5 import open_hdf5


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values of the file by name: {"block1/layers/conv2d/vars/0": (3, 3, 3, 64), ...}."""
    values: dict[str, np.ndarray] = {}

    def add(name: str, entry: object) -> None:
        if hasattr(entry, "shape"):
            values[name] = np.asarray(entry)

    with open_hdf5(file) as content:
        content.visititems(add)
    return values


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
    tensors=read,
    tensor_name=_name,
    arrange=_arrange,
    features={"image": "encoded image", "mask": "PNG bytes"},
    known=lambda file: {"class_names": ("background", "edge")},
)
