"""Read the contents of an .h5 file, a whole model or weights."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from export.artifacts import Description
from export.artifacts.config import read_config

NON_PARAMETERS = ("optimizer", "seed_generator")


def read(description: Description) -> None:
    """Fill in the description; signatures, layers and flags only if the file holds a whole model."""
    import h5py

    with h5py.File(description.path, "r") as file:
        description.producer = {"keras": _text(file.attrs.get("keras_version", "unknown"))}
        if "model_config" in file.attrs:
            read_config(description, json.loads(_text(file.attrs["model_config"])))
        else:
            description.format = "weights"
    description.parameters = count(description.path)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def count(file: Any) -> int:
    """Return the number of parameters in an HDF5 file, without those of an optimizer."""
    import h5py

    sizes: list[int] = []

    def visit(name: str, item: Any) -> None:
        is_parameter = isinstance(item, h5py.Dataset) and not any(word in name for word in NON_PARAMETERS)
        if is_parameter and item.dtype.kind in "fiu":
            sizes.append(int(np.prod(item.shape)))

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return sum(sizes)
