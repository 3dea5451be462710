"""The native .keras file: architecture, weights and optimizer state."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract
from export.formats.format import NATIVE, Description, Format
from export.formats.keras_config import count_parameters, read_config
from export.formats.screening import BY_NAME, WEIGHTS, check_content
from export.protocol.calls import COLOUR, one_line
from export.runtime.backend import load_tensorflow
from export.runtime.process import bounded_memory
from zoobase.errors import ExportError, Unsupported
from zoobase.files import check_present
from zoobase.hdf5 import open_hdf5

EXPECTED = ("config.json", "metadata.json", WEIGHTS, "assets/")


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `model.keras`."""
    import keras

    path = folder / "model.keras"
    try:
        model.save(path)
    except NotImplementedError as error:  # Keras leaves an empty file
        raise Unsupported(f"{type(model).__name__} cannot be saved: {' '.join(str(error).split())[:200]}") from error
    return FORMAT.artifact(contract, path.name, producer={"keras": keras.__version__})


def read_model(path: Path) -> Any:
    """Return the Keras model in a .keras or .h5 file, loaded in safe mode."""
    check_present(path)
    load_tensorflow()
    import keras

    try:
        if format := next((name for name, endings in BY_NAME.items() if path.name.endswith(endings)), None):
            check_content(path, format)
        with bounded_memory(path):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ExportError:
        raise
    except Exception as error:
        text = " ".join(COLOUR.sub("", str(error)).split())
        raise ExportError(f"Keras cannot load {path}: {text}{_legacy_way(path)}") from error


def _legacy_way(path: Path) -> str:
    """Return how a file of Keras 2 is exported without Keras 3, or an empty string for any other file."""
    try:
        with open_hdf5(path) as file:
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


def names_in(path: Path, head: bytes) -> list[str]:
    """Return the names in a zip file; [] for a file that is none."""
    if not head.startswith(b"PK") or not zipfile.is_zipfile(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path} is a damaged zip file ({one_line(error)[:230]})") from error


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is a .keras file."""
    return "config.json" in names_in(path, head)


def describe(description: Description) -> None:
    """Fill in signatures, layers, flags, parameters and producer."""
    import h5py

    with zipfile.ZipFile(description.path) as archive:
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
        description.producer = {"keras": metadata.get("keras_version", "unknown")}
        read_config(description, json.loads(archive.read("config.json")))
        if WEIGHTS in archive.namelist():
            with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                description.parameters = count_parameters(file)
        unexpected = sorted(name for name in archive.namelist() if not name.startswith(EXPECTED))
    if unexpected:
        description.risks.append(f"it contains {', '.join(unexpected[:3])}, which is not part of a .keras file")


def merged_weights(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (path, array) of the weights that the file holds otherwise than the model: Keras merges LoRA's factors."""
    # The layer itself is asked what it stores. What it reads back are the merged weight, and factors of zero.
    for layer in model._flatten_layers():
        if not getattr(layer, "lora_enabled", False):
            continue
        stored: dict[str, Any] = {}
        layer.save_own_variables(stored)
        for weight in layer.weights:
            if "lora" in weight.name:
                yield weight.path, np.zeros(weight.shape, weight.dtype)
        for weight, value in zip((w for w in layer.weights if "lora" not in w.name), stored.values(), strict=False):
            yield weight.path, np.asarray(value, weight.dtype)


FORMAT = Format(NATIVE, ".keras", write, matches, describe, files=("model.keras",), needs_code=True, holds_code=True)
