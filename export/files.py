"""Read what the command line is given: a model, samples, labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from export.backend import load_tensorflow
from export.errors import ExportError, MissingError


def read_model(path: Path) -> Any:
    """Return the Keras model in a .keras or .h5 file, loaded in safe mode.

    Raises:
        MissingError: If the file is not there.
        ExportError: If Keras cannot load it.
    """
    _present(path)
    load_tensorflow()
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ExportError(f"Keras cannot load {path}: {' '.join(str(error).split())[:300]}") from error


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name.

    Raises:
        MissingError: If the file is not there.
        ExportError: If it holds anything but plain arrays.
    """
    _present(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} is not an .npz file of plain arrays ({error})") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file.

    Raises:
        MissingError: If the file is not there.
        ExportError: If it is not UTF-8 text.
    """
    _present(path)
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not UTF-8 text; give one class name on each line") from error


def _present(path: Path) -> None:
    if not path.is_file():
        raise MissingError(f"there is no file {path}; give the path of one")
