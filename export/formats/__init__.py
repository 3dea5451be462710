"""One file per format. Each has `write(model, contract, folder, version) -> Artifact`, and raises Unsupported."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.contract import Contract
from export.contract.artifact import Artifact

DEFAULT_FORMATS = ("keras", "hdf5", "weights", "saved_model", "tflite")


def writer(format: str) -> Callable[[Any, Contract, Path, int], Artifact]:
    """Return the `write` function of a format."""
    return importlib.import_module(f"export.formats.{format}").write
