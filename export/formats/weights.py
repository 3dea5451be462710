"""The weights, with the architecture as JSON beside them, so that a fresh process can rebuild the model."""

import json
from pathlib import Path
from typing import Any

from export.contract import Artifact, Contract
from export.formats import hdf5
from export.formats.format import Format
from export.formats.keras_config import explicit_vocabularies
from zoobase.errors import Unsupported
from zoobase.hdf5 import MAGIC


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `model.weights.h5` and `model.config.json`."""
    import h5py
    import keras

    try:
        with explicit_vocabularies(model):
            config = keras.saving.serialize_keras_object(model)
    except NotImplementedError as error:
        raise Unsupported(f"{type(model).__name__} has no config: {' '.join(str(error).split())[:200]}") from error
    config.pop("compile_config", None)  # not used for serving, and a custom loss would need its code
    (folder / "model.config.json").write_text(json.dumps(config, indent=1) + "\n")
    path = folder / "model.weights.h5"
    model.save_weights(path)
    return FORMAT.artifact(contract, path.name, producer={"keras": keras.__version__, "h5py": h5py.__version__})


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is an HDF5 file of weights."""
    return head.startswith(MAGIC) and path.name.endswith(FORMAT.extension)


FORMAT = Format(
    "weights",
    ".weights.h5",
    write,
    matches,
    hdf5.describe,
    files=("model.weights.h5", "model.config.json"),
    needs_code=True,
    is_drawn=False,
)
