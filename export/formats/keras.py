"""The native .keras file: architecture, weights and optimizer state."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from export.contract import Contract
from export.contract.artifact import Artifact
from export.runners.lib.calls import COLOUR
from export.runners.lib.protocol import check_archive
from export.runtime.backend import load_tensorflow
from export.runtime.process import bounded_memory
from zoobase.errors import ExportError, Unsupported
from zoobase.files import check_present


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
        Unavailable: If the file does not exist.
        ExportError: If Keras cannot load it.
    """
    check_present(path)
    load_tensorflow()
    import keras

    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        with bounded_memory(path):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        text = " ".join(COLOUR.sub("", str(error)).split())
        raise ExportError(f"Keras cannot load {path}: {text}{_legacy_way(path)}") from error


def _legacy_way(path: Path) -> str:
    """Return how a file of Keras 2 is exported without Keras 3, or an empty string for any other file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("keras_version", "1") if "model_config" in file.attrs else None
    except Exception:  # not an HDF5 file, or a damaged one
        return ""
    version = version.decode("utf-8", "replace") if isinstance(version, bytes) else version
    if version is None or str(version).partition(".")[0] not in ("1", "2"):
        return ""
    call = f"import tf_keras; tf_keras.models.load_model({str(path)!r}, compile=False).export('saved_model')"
    return (
        f"; it was written by Keras {version}, which `pip install tf_keras` still reads: "
        f'TF_USE_LEGACY_KERAS=1 python -c "{call}" writes a SavedModel, for python -m export inspect and compare'
    )
