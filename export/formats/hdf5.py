"""The whole model in one HDF5 file, without the optimizer, which Keras does not restore and often cannot read."""

import json
from pathlib import Path
from typing import Any

from export.contract import Artifact, Contract
from export.formats.format import Description, Format
from export.formats.keras_config import count_parameters, explicit_vocabularies, read_config
from export.runtime.backend import quiet_logger
from zoobase.errors import Unsupported
from zoobase.hdf5 import MAGIC, open_hdf5

# Error messages on loading, and their causes (Keras writes all of these files without an error).
CAUSES = {
    "Unknown layer: 'NotEqual'": "mask_zero=True puts an operation into the graph that HDF5 cannot represent",
    "Unknown layer": "the graph holds an operation or a layer that HDF5 cannot represent",
    "Layer count mismatch": "the class creates or builds layers when it is called; create and build them in __init__",
    "Table not initialized": "a lookup was adapted; pass vocabulary= to its constructor",
    "No cast function available": "HDF5 files of Keras cannot hold bfloat16 weights",
    "Lambda": "a Lambda layer contains code",
}


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `model.h5`."""
    # Without the optimizer, which is not restored anyway: a loss given by name ("mse") makes the file unreadable.
    import h5py
    import keras

    path = folder / "model.h5"
    try:
        with quiet_logger("absl"), explicit_vocabularies(model):  # Keras warns that the format is legacy
            model.save(path, include_optimizer=False)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise Unsupported(f"Keras cannot write it: {' '.join(str(error).split())[:200]}") from error
    return FORMAT.artifact(contract, path.name, producer={"keras": keras.__version__, "h5py": h5py.__version__})


def explain(error: str) -> str:
    """Return why an HDF5 file cannot be loaded, from the error message of the fresh process."""
    for text, cause in CAUSES.items():
        if text in error:
            return f"Keras cannot read it back: {cause} ({error.partition('. ')[0][:160]})"
    return f"Keras cannot read it back: {error}"


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is an HDF5 file of a whole model."""
    return head.startswith(MAGIC) and not path.name.endswith(".weights.h5")


def describe(description: Description) -> None:
    """Fill in the description; signatures, layers and flags only if the file holds a whole model."""
    with open_hdf5(description.path) as file:
        description.producer = {"keras": _text(file.attrs.get("keras_version", "unknown"))}
        if "model_config" in file.attrs:
            read_config(description, json.loads(_text(file.attrs["model_config"])))
        else:
            description.format = "weights"
        description.parameters = count_parameters(file)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


FORMAT = Format(
    "hdf5", ".h5", write, matches, describe, files=("model.h5",), needs_code=True, holds_code=True, unreadable=explain
)
