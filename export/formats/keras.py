"""The native .keras file: architecture, weights and optimizer state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.contract import Contract
from export.errors import Unsupported
from export.formats import Artifact


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `model.keras`.

    Raises:
        Unsupported: If the model has no config that could be stored.
    """
    import keras

    path = folder / "model.keras"
    try:
        model.save(path)
    except NotImplementedError as error:  # Keras leaves an empty file behind
        raise Unsupported(f"{type(model).__name__} cannot be saved: {' '.join(str(error).split())[:200]}") from error
    endpoints = tuple(e.name for e in contract.carried_by("keras"))
    return Artifact("keras", path.name, endpoints, producer={"keras": keras.__version__})
