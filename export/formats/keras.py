"""The native .keras file: architecture, weights and optimizer state."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from export.contract import Contract
from export.contract.artifact import Artifact
from export.errors import ExportError, Unsupported, check_present
from export.runners.lib.calls import COLOUR
from export.runners.lib.protocol import check_archive
from export.runtime.backend import load_tensorflow


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `model.keras`.

    Raises:
        Unsupported: If the model has no serializable config.
    """
    import keras

    path = folder / "model.keras"
    try:
        model.save(path)
    except NotImplementedError as error:  # Keras leaves an empty file
        raise Unsupported(f"{type(model).__name__} cannot be saved: {' '.join(str(error).split())[:200]}") from error
    endpoints = tuple(e.name for e in contract.carried_by("keras"))
    return Artifact("keras", path.name, endpoints, producer={"keras": keras.__version__})


def read_model(path: Path) -> Any:
    """Return the Keras model in a .keras or .h5 file, loaded in safe mode.

    Raises:
        MissingError: If the file does not exist.
        ExportError: If Keras cannot load it.
    """
    check_present(path)
    load_tensorflow()
    import keras

    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ExportError(f"Keras cannot load {path}: {' '.join(COLOUR.sub('', str(error)).split())}") from error
