"""Weights of a model as a small file of the package: without what is not needed, and with matrices in float16.

Matrices may also be rounded to 8 bits. They stay float16, so that any reader of the file gets them: as their values are
multiples of a power of two, most of their bits are zero, which compresses well.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from zoo.core.weight_files import OMITTED, content_of
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import h5py
    import keras

SMALL = 64  # values of an array that is written as it is
COMPRESSED = 1024  # values from which compression saves more than the about 2 kB by which HDF5 describes its blocks
FLOAT16 = 65504  # the largest float16
SMALLEST = {"compression": "gzip", "compression_opts": 9, "shuffle": True}


def round_model(model: keras.Model, bits: int) -> None:
    """Round the matrices of a model in place."""
    for variable in model.variables:
        if variable.trainable and len(variable.shape) > 1:
            variable.assign(rounded(variable.numpy(), bits))


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return weights (..., N) as multiples of a power of two, one for each of the N columns."""
    channels = 2 if values.ndim == 4 and values.shape[-1] == 1 else 1  # of a depthwise kernel (H, W, C, 1), C
    largest = np.abs(values).max(axis=tuple(range(values.ndim - channels)))
    exponents = np.ceil(np.log2(np.where(largest > 0, largest, 1) / (2 ** (bits - 1) - 1)))
    steps = np.exp2(exponents).astype(values.dtype)
    return np.round(values / steps) * steps


def compact(model: keras.Model, omitted: Collection[str] = ()) -> bytes:
    """Return the weights file of a model, without the optimizer's state and the omitted parts, in float16."""
    # Arrays of one dimension, small ones, and those with values beyond the range of float16 stay float32.
    import h5py

    source, target = io.BytesIO(content_of(model)), io.BytesIO()
    with h5py.File(source) as whole, h5py.File(target, "w") as file:
        file.attrs.update(whole.attrs)
        groups = [_group(model, name, whole) for name in omitted]
        file.attrs[OMITTED] = groups

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if f"{name}/".startswith(tuple(f"{group}/" for group in groups)):
                return
            if isinstance(item, h5py.Group):
                file.require_group(name).attrs.update(item.attrs)
                return
            values = item[()]
            if np.size(values) <= SMALL:
                file.create_dataset(name, data=values)
                return
            half = np.ndim(values) > 1 and values.dtype == np.float32 and np.abs(values).max() < FLOAT16
            compression = SMALLEST if np.size(values) >= COMPRESSED else {}
            file.create_dataset(name, data=values.astype(np.float16) if half else values, **compression)

        whole.visititems(copy)
    return target.getvalue()


def _group(model: keras.Model, name: str, whole: h5py.File) -> str:
    """Return the group of a weights file in which Keras stores a part of a model."""
    # It has the name of the attribute, or for some layers, `layers/` and a number after the name of the class: found by
    # its values.
    if name in whole:
        return name
    values, found = getattr(model, name).get_weights(), []
    for group in (f"layers/{entry}" for entry in whole["layers"]):
        stored = whole[group]["vars"]
        if len(stored) == len(values) and all(np.array_equal(stored[str(i)], v) for i, v in enumerate(values)):
            found.append(group)
    if len(found) != 1:
        raise UsageError(f"{len(found)} groups of the weights file of {model.name} have the values of {name}, not one")
    return found[0]


def training_parts(model: keras.Model, served: Collection[keras.Model]) -> list[str]:
    """Return those parts of a model of which no served model has a weight."""
    used = {id(variable) for one in served for variable in one.variables}
    return [name for name, part in parts(model).items() if not any(id(v) in used for v in part.variables)]


def parts(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Return the attributes of a model that are layers with weights."""
    import keras

    layers = {name: value for name, value in vars(model).items() if isinstance(value, keras.layers.Layer)}
    return {name: layer for name, layer in layers.items() if layer.variables}
